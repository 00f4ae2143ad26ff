import { rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import { SEGMENT } from "./facts.js";
import type { ElfFile } from "./file.js";
import type { RelocationTable } from "./relocations.js";

const WORD = 8;

/**
 * Where an image's data says that its code can be entered: every word, at a multiple of 8, whose value lies in
 * its code, and everything that the dynamic linker writes and that lies there. Holds too many (numbers that
 * happen to look like addresses), not too few, but for addresses that are computed: `jump-tables` are.
 *
 * In a file that is linked for one address all data can hold them; in one that is relocated only what can be
 * written can, and there it stands in the relocation or (RELR) in the word itself.
 *
 * @param code ranges that hold instructions, sorted
 */
export function* codePointers(
  file: ElfFile,
  relocations: RelocationTable,
  code: readonly VaddrRange[],
): Generator<Vaddr> {
  const isCode = (vaddr: Vaddr): boolean => rangeAt(code, vaddr) !== undefined;
  for (const { addend } of relocations) if (isCode(addend as Vaddr)) yield addend as Vaddr;
  const isFixed = file.header.type === "EXEC";
  for (const segment of file.header.segments) {
    if (segment.type !== SEGMENT.load || segment.executable || !(isFixed || segment.writable)) continue;
    const contents = file.contentsAt("data", segment.vaddr, segment.fileSize);
    if (contents === undefined) continue;
    const { view } = contents;
    const first = (WORD - (segment.vaddr % WORD)) % WORD;
    for (let at = first; at + WORD <= contents.length; at += WORD) {
      // Most words are no addresses: the upper half tells.
      const high = view.getInt32(at + 4, true);
      const value = (high * 2 ** 32 + view.getUint32(at, true)) as Vaddr;
      if (isCode(value)) yield value;
    }
  }
}
