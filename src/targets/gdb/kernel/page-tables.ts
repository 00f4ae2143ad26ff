import type { Address } from "../../../base/address.js";

/** Bits of page table entries. Intel SDM vol. 3A, tables 4-15 … 4-20. */
const PRESENT = 1n;
const WRITABLE = 2n;
const LARGE = 0x80n;
const FRAME = 0x000f_ffff_ffff_f000n;
const ENTRY_BYTES = 8;
/** Bit 12 of CR4: five levels. */
const FIVE_LEVELS = 1n << 12n;

/** Reads physical memory. @returns whether all of it was read */
export type ReadPhysical = (at: number, into: Uint8Array) => boolean;

/**
 * Whether a store to an address would be let through: what a stub writes, it writes whatever the page tables say.
 *
 * @returns undefined where a table cannot be read
 */
export function isWritable(
  at: Address,
  registers: { readonly cr3: bigint; readonly cr4: bigint },
  read: ReadPhysical,
): boolean | undefined {
  const bytes = new Uint8Array(ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  const address = BigInt.asUintN(64, BigInt(at));
  let table = registers.cr3 & FRAME;
  for (let level = (registers.cr4 & FIVE_LEVELS) === 0n ? 3n : 4n; level >= 0n; level--) {
    const index = (address >> (12n + 9n * level)) & 0x1ffn;
    if (!read(Number(table + index * BigInt(ENTRY_BYTES)), bytes)) return undefined;
    const entry = view.getBigUint64(0, true);
    if ((entry & PRESENT) === 0n || (entry & WRITABLE) === 0n) return false;
    if (level > 0n && level < 3n && (entry & LARGE) !== 0n) return true;
    table = entry & FRAME;
  }
  return true;
}
