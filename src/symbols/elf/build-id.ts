import { NOTE_BUILD_ID, SECTION, SEGMENT } from "./facts.js";
import type { Fields } from "./fields.js";
import type { ElfFile } from "./file.js";

/** The build-id of a file in hexadecimal: from its note sections, else its note segments. */
export function readBuildId(file: ElfFile): string | undefined {
  for (const section of file.header.sections) {
    const notes = section.type === SECTION.note ? file.sectionContents(section) : undefined;
    const id = notes && findBuildId(notes);
    if (id !== undefined) return id;
  }
  for (const segment of file.header.segments) {
    if (segment.type !== SEGMENT.note) continue;
    const id = findBuildId(file.piece("PT_NOTE", segment.offset, segment.fileSize));
    if (id !== undefined) return id;
  }
  return undefined;
}

function findBuildId(notes: Fields): string | undefined {
  // GNU's own notes are aligned to 4, also in segments that are aligned to 8: only .note.gnu.property
  // has entries of 8, and its size is a multiple of both. So 4 reads both.
  let at = 0;
  while (at + 12 <= notes.length) {
    const nameSize = notes.u32(at);
    const size = notes.u32(at + 4);
    const type = notes.u32(at + 8);
    const name = at + 12;
    const content = name + align4(nameSize);
    const next = content + align4(size);
    if (content + size > notes.length) return undefined;
    if (type === NOTE_BUILD_ID && size > 0 && notes.string(name) === "GNU") {
      return notes.bytes.toString("hex", content, content + size);
    }
    at = next;
  }
  return undefined;
}

function align4(size: number): number {
  return Math.ceil(size / 4) * 4;
}
