import type { Vaddr } from "../vaddr.js";
import type { Fields } from "./fields.js";

/** A stub of the procedure linkage table: what a call to another image's function goes through. */
export interface PltStub {
  readonly vaddr: Vaddr;
  /** Of the function it jumps to: `puts`. */
  readonly name: string;
}

/** Linkers make stubs of 8 or 16 bytes, aligned so. */
const STUB_ALIGNMENT = 8;
const MAX_STUB_SIZE = 16;

export function isPltSection(name: string): boolean {
  return /^\.i?plt(\.|$)/.test(name);
}

/**
 * The stubs of one PLT section, in order: each has a `jmp *slot(%rip)`, whatever stands around it
 * (endbr64, bnd, push, padding). AMD64 supplement, figures 5.2 and 13.1.
 *
 * @param nameOfSlot the function whose address a GOT slot gets
 */
export function findStubs(code: Fields, at: Vaddr, nameOfSlot: (slot: Vaddr) => string | undefined): PltStub[] {
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
  const stub = stubs.findLast((one) => one.vaddr <= vaddr);
  return stub !== undefined && vaddr < stub.vaddr + MAX_STUB_SIZE ? stub : undefined;
}
