import type { Random } from "./random.js";

/** Numbers that parsers trip over. */
const BOUNDARIES = [
  0n, 1n, 2n, 4n, 7n, 8n, 0x10n, 0x7fn, 0x80n, 0xffn, 0xfffn, 0x1000n, 0x7fffn, 0x8000n, 0xff00n, 0xffffn, 0x10000n,
  0x7fffffffn, 0x80000000n, 0xfffffff0n, 0xffffffffn, 0x100000000n, 0x7fffffffffffn, 0x800000000000n,
  0x1fffffffffffffn, 0x20000000000000n, 0x7fffffffffffffffn, 0x8000000000000000n, 0xfffffffffffff000n,
  0xfffffffffffffff8n, 0xffffffffffffffffn,
] as const; // prettier-ignore

/** A boundary, or one that has to do with the length of the input: just inside, just behind. */
export function trickyInteger(length: number, random: Random): bigint {
  switch (random.below(4)) {
    case 0:
      return BigInt(Math.max(0, length - random.below(256) + 64));
    case 1:
      return BigInt(random.below(length));
    default:
      return random.pick(BOUNDARIES);
  }
}

export function littleEndian(value: bigint, size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
  return bytes.subarray(0, size);
}
