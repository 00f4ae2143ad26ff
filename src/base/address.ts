/**
 * A canonical virtual address, sign-extended from bit 47: user addresses are positive, kernel
 * addresses negative (`0xffffffff81000000` is `-0x7f000000`). So every address that a page table
 * of four levels can map is an exact JavaScript number, and arithmetic on hot paths needs no
 * bigint. Intel SDM vol. 1, 3.3.7.1 (canonical addressing).
 */
export type Address = number & { readonly __brand: "Address" };

/** A half-open range of addresses: `start` is in it, `end` is not. */
export interface AddressRange {
  readonly start: Address;
  readonly end: Address;
}

const CANONICAL_BITS = 48;
const HALF = 2 ** 32;

/**
 * The address that a 64-bit register or pointer value denotes.
 *
 * @returns undefined where the value is not canonical: no memory can be there
 */
export function addressOf(value: bigint): Address | undefined {
  const wide = BigInt.asIntN(64, value);
  return BigInt.asIntN(CANONICAL_BITS, wide) === wide ? (Number(wide) as Address) : undefined;
}

/** An address from its two 32-bit halves, without a bigint: for hot paths. Not checked. */
export function addressFromHalves(low: number, high: number): Address {
  return ((high | 0) * HALF + (low >>> 0)) as Address;
}

/** `address + offset`, still an address. */
export function offsetBy(address: Address, offset: number): Address {
  return (address + offset) as Address;
}

/** The 64-bit unsigned value that a register holding this address has. */
export function toBigInt(address: Address): bigint {
  return BigInt.asUintN(64, BigInt(address));
}

/** `0x401136`, `0xffffffff81000000`: as a debugger writes it. */
export function formatAddress(address: Address): string {
  return `0x${toBigInt(address).toString(16)}`;
}

export function contains(range: AddressRange, address: Address): boolean {
  return address >= range.start && address < range.end;
}
