import type { Vaddr } from "../vaddr.js";

/** `struct exception_table_entry`: an instruction and its fixup, as distances from the fields, and a kind. */
const ENTRY_SIZE = 12;

/**
 * `__ex_table`: instructions of the kernel that are expected to fault, and where the kernel goes on then.
 * Linux, arch/x86/include/asm/extable.h.
 */
export class ExceptionTable {
  private readonly fixups = new Map<number, Vaddr>();

  /** @param start where the table lies */
  constructor(table: Uint8Array, start: Vaddr) {
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    for (let at = 0; at + ENTRY_SIZE <= view.byteLength; at += ENTRY_SIZE)
      this.fixups.set(
        start + at + view.getInt32(at, true),
        (start + at + 4 + view.getInt32(at + 4, true)) as Vaddr,
      );
  }

  get count(): number {
    return this.fixups.size;
  }

  /** Where a fault of an instruction goes on; undefined where it is a bug of the kernel. */
  fixup(vaddr: Vaddr): Vaddr | undefined {
    return this.fixups.get(vaddr);
  }
}
