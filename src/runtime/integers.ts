import { MESSAGES, ScriptError } from "./errors.js";

/**
 * The language's only number is a signed 64-bit integer that wraps. In JavaScript it is a bigint
 * between -2^63 and 2^63 - 1, always: one representation, no checks at run time.
 *
 * Measured on Node 20 (a 2-core virtual machine): `BigInt.asIntN(64, a * b + 7n)` on locals 8 ns,
 * on an object's property 9 ns; `cells[i] += 1n` on a BigInt64Array 2.6 ns, because the array
 * wraps by itself and V8 then makes no bigint (`cells[i]++` is ten times slower than `+= 1n`).
 * So globals of type long live in one BigInt64Array (globals.ts) and locals are bigints.
 *
 * Generated code writes `wrap(a + b)` for `+ - *`, and `& | ^ ~` and comparisons bare, since they
 * cannot leave the range.
 */
export type Long = bigint;

export const LONG_MIN: Long = -(2n ** 63n);
export const LONG_MAX: Long = 2n ** 63n - 1n;

const SHIFT_MASK = 63n;

export function wrap(value: bigint): Long {
  return BigInt.asIntN(64, value);
}

/** C's division: towards zero; -2^63 / -1 wraps to -2^63. @throws ScriptError division by 0 */
export function divide(dividend: Long, divisor: Long): Long {
  if (divisor === 0n) throw new ScriptError(MESSAGES.divisionByZero);
  return BigInt.asIntN(64, dividend / divisor);
}

/** C's remainder: the sign of the dividend. @throws ScriptError division by 0 */
export function remainder(dividend: Long, divisor: Long): Long {
  if (divisor === 0n) throw new ScriptError(MESSAGES.divisionByZero);
  return dividend % divisor;
}

/** `<<`; as on the processor only the low six bits of the count matter. */
export function shiftLeft(value: Long, count: Long): Long {
  return BigInt.asIntN(64, value << (count & SHIFT_MASK));
}

/** `>>`, keeping the sign. */
export function shiftRight(value: Long, count: Long): Long {
  return value >> (count & SHIFT_MASK);
}

/** `>>>`, shifting zeroes in. */
export function shiftRightUnsigned(value: Long, count: Long): Long {
  return BigInt.asIntN(64, BigInt.asUintN(64, value) >> (count & SHIFT_MASK));
}

/** The low bits of a long that an API outside takes as a number, e.g. a width: C's conversion to int. */
export function toInt32(value: Long): number {
  return Number(BigInt.asIntN(32, value));
}
