import { lastAtOrBefore, type Vaddr } from "../vaddr.js";
import { RELOCATION } from "./facts.js";
import type { Fields } from "./fields.js";
import type { ElfFile } from "./file.js";
import type { ElfSection } from "./header.js";
import type { RelocationTable } from "./relocations.js";

/** A stub of the procedure linkage table: what a call to another image's function goes through. */
export interface PltStub {
  readonly vaddr: Vaddr;
  /** Of the function it jumps to: `puts`. */
  readonly name: string;
}

/** Linkers make stubs of 8 or 16 bytes, aligned so. */
const STUB_ALIGNMENT = 8;
const MAX_STUB_SIZE = 16;

export function pltSections(file: ElfFile): ElfSection[] {
  return file.header.sections.filter(
    (one) => one.allocated && one.executable && /^\.i?plt(\.|$)/.test(one.name),
  );
}

/**
 * All stubs of a file, in order.
 *
 * @param nameOf the function at an address: for stubs of IFUNCs, which relocations give no name
 */
export function readStubs(
  file: ElfFile,
  relocations: RelocationTable,
  nameOf: (vaddr: Vaddr) => string | undefined,
): PltStub[] {
  const sections = pltSections(file);
  if (sections.length === 0) return [];
  const names = new Map<Vaddr, string>();
  for (const relocation of relocations) {
    const ifunc = relocation.type === RELOCATION.irelative;
    const name = ifunc ? nameOf(relocation.addend as Vaddr) : relocations.symbolName(relocation);
    if (name !== undefined && name !== "") names.set(relocation.slot, name);
  }
  const stubs = sections.flatMap((section) => {
    const contents = file.sectionContents(section);
    return contents === undefined ? [] : findStubs(contents, section.vaddr, (slot) => names.get(slot));
  });
  return stubs.sort((one, other) => one.vaddr - other.vaddr);
}

/**
 * The stubs of one PLT section, in order: each has a `jmp *slot(%rip)`, whatever stands around it
 * (endbr64, bnd, push, padding). AMD64 supplement, figures 5.2 and 13.1.
 *
 * @param nameOfSlot the function whose address a GOT slot gets
 */
function findStubs(code: Fields, at: Vaddr, nameOfSlot: (slot: Vaddr) => string | undefined): PltStub[] {
  const stubs: PltStub[] = [];
  for (let offset = 0; offset + 6 <= code.length; offset += 1) {
    if (code.u8(offset) !== 0xff || code.u8(offset + 1) !== 0x25) continue;
    const slot = (at + offset + 6 + code.i32(offset + 2)) as Vaddr;
    const name = nameOfSlot(slot);
    if (name === undefined) continue;
    const vaddr = (Math.floor((at + offset) / STUB_ALIGNMENT) * STUB_ALIGNMENT) as Vaddr;
    stubs.push({ vaddr, name });
    offset += 5;
  }
  return stubs;
}

/** @param stubs in order of address */
export function stubAt(stubs: readonly PltStub[], vaddr: Vaddr): PltStub | undefined {
  const stub = stubs[lastAtOrBefore(stubs.length, (index) => stubs[index]?.vaddr, vaddr)];
  return stub !== undefined && vaddr < stub.vaddr + MAX_STUB_SIZE ? stub : undefined;
}
