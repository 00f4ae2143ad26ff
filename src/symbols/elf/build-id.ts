import { NOTE_BUILD_ID } from "./facts.js";
import type { Fields } from "./fields.js";

/**
 * The build-id in a piece of notes, in hexadecimal.
 *
 * @param notes contents of a SHT_NOTE section or PT_NOTE segment, aligned to 4 or 8 bytes
 */
export function findBuildId(notes: Fields): string | undefined {
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
