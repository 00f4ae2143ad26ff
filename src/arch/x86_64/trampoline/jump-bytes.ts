import type { Address } from "../../../base/address.js";
import { putInt32 } from "../machine-code.js";
import type { Reach } from "./reach.js";
import { isTrapByte } from "./trap-bytes.js";

/** `jmp rel32`, `jmp rel8`. */
export type JumpLength = 5 | 2;

const OPCODES: Readonly<Record<JumpLength, number>> = { 5: 0xe9, 2: 0xeb };

/** The bytes of a jump. @throws Error the target is out of its reach */
export function jumpBytes(at: Address, length: JumpLength, target: Address): Uint8Array {
  const bytes = new Uint8Array(length);
  const distance = target - at - length;
  const half = 2 ** (8 * (length - 1) - 1);
  if (distance < -half || distance >= half)
    throw new Error(`no jump of ${String(length)} bytes leads so far`);
  bytes[0] = OPCODES[length];
  if (length === 2) bytes[1] = distance & 0xff;
  else putInt32(bytes, 1, distance);
  return bytes;
}

/**
 * Where a jump can lead, such that each of its bytes where an instruction began before traps: an address that the
 * program kept from then may bring it there.
 *
 * The displacement is looked at as a number of one or four digits of 8 bits, some of which must be trap bytes; the
 * next such number keeps as many digits as it can, raises the one behind them to the next that is allowed, and has
 * the least that is allowed for the rest. The highest digit, which has the sign, is taken with its highest bit
 * turned over, so that numbers and displacements come in the same order.
 */
export class JumpTargets implements Reach {
  /** By digit, the lowest first: what it may be, ascending. */
  private readonly allowed: readonly Uint16Array[];
  /** Where the jump whose displacement is the least leads. */
  private readonly lowest: number;

  /** @param inner offsets from the jump where instructions began, its first byte apart */
  constructor(at: Address, length: JumpLength, inner: readonly number[]) {
    const digits = length - 1;
    this.allowed = Array.from({ length: digits }, (_, digit) =>
      allowedDigits(inner.includes(digit + 1), digit === digits - 1),
    );
    this.lowest = at + length - 2 ** (8 * digits - 1);
  }

  next(from: Address): Address | undefined {
    const number = Math.max(0, from - this.lowest);
    if (number >= 2 ** (8 * this.allowed.length)) return undefined;
    const found = this.nearest(number, NEXT);
    return found === undefined ? undefined : ((this.lowest + found) as Address);
  }

  previous(from: Address): Address | undefined {
    const number = Math.min(2 ** (8 * this.allowed.length) - 1, from - this.lowest);
    if (number < 0) return undefined;
    const found = this.nearest(number, PREVIOUS);
    return found === undefined ? undefined : ((this.lowest + found) as Address);
  }

  has(target: Address): boolean {
    return this.next(target) === target;
  }

  private nearest(number: number, way: Way): number | undefined {
    const { allowed } = this;
    // How many of the highest digits stay as they are.
    let kept = 0;
    while (kept < allowed.length && this.allows(number, allowed.length - 1 - kept)) kept++;
    if (kept === allowed.length) return number;
    for (; kept >= 0; kept--) {
      const digit = allowed.length - 1 - kept;
      const other = way.beyond(allowed[digit] as Uint16Array, digitOf(number, digit)); // one for each digit
      if (other === undefined) continue;
      const weight = 256 ** (digit + 1);
      let found = Math.floor(number / weight) * weight + other * 256 ** digit;
      for (let rest = 0; rest < digit; rest++) found += way.first(allowed[rest] as Uint16Array) * 256 ** rest;
      return found;
    }
    return undefined;
  }

  private allows(number: number, digit: number): boolean {
    return (this.allowed[digit] as Uint16Array).includes(digitOf(number, digit));
  }
}

interface Way {
  /** The nearest digit beyond one. */
  beyond(allowed: Uint16Array, digit: number): number | undefined;
  /** The first that comes this way. */
  first(allowed: Uint16Array): number;
}

const NEXT: Way = {
  beyond: (allowed, digit) => allowed.find((other) => other > digit),
  first: (allowed) => allowed[0] as number, // none is empty
};

const PREVIOUS: Way = {
  beyond: (allowed, digit) => allowed.findLast((other) => other < digit),
  first: (allowed) => allowed[allowed.length - 1] as number, // none is empty
};

function digitOf(number: number, digit: number): number {
  return Math.floor(number / 256 ** digit) % 256;
}

const SIGN = 0x80;
const ALL = Array.from({ length: 256 }, (_, digit) => digit);

function allowedDigits(traps: boolean, hasSign: boolean): Uint16Array {
  const bytes = traps ? ALL.filter(isTrapByte) : ALL;
  return Uint16Array.from(hasSign ? bytes.map((byte) => byte ^ SIGN) : bytes).sort();
}
