import type { Vaddr, VaddrRange } from "../vaddr.js";

/**
 * `struct kernel_symbol`: where the symbol is, its name and its namespace, each as a distance from the field
 * itself (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS, which x86-64 has). Linux, include/linux/export.h.
 */
const ENTRY_SIZE = 12;

/** Addresses that EXPORT_SYMBOL and its likes give to modules. */
export function readExports(
  tables: readonly VaddrRange[],
  bytesAt: (vaddr: Vaddr, length: number) => Uint8Array,
): ReadonlySet<number> {
  const exported = new Set<number>();
  for (const { start, end } of tables) {
    const bytes = bytesAt(start, end - start);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + ENTRY_SIZE <= view.byteLength; at += ENTRY_SIZE)
      exported.add(start + at + view.getInt32(at, true));
  }
  return exported;
}
