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
  /** By digit, the lowest first: what it may be. */
  private readonly allowed: readonly Digits[];
  /** Where the jump whose displacement is the least leads. */
  private readonly lowest: number;

  /** @param inner offsets from the jump where instructions began, its first byte apart */
  constructor(at: Address, length: JumpLength, inner: readonly number[]) {
    const digits = length - 1;
    this.allowed = Array.from({ length: digits }, (_, digit) =>
      digitsOf(inner.includes(digit + 1), digit === digits - 1),
    );
    this.lowest = at + length - 2 ** (8 * digits - 1);
  }

  next(from: Address): Address | undefined {
    const number = Math.max(0, from - this.lowest);
    if (number >= 2 ** (8 * this.allowed.length)) return undefined;
    const found = this.nearest(number, "above");
    return found === undefined ? undefined : ((this.lowest + found) as Address);
  }

  previous(from: Address): Address | undefined {
    const number = Math.min(2 ** (8 * this.allowed.length) - 1, from - this.lowest);
    if (number < 0) return undefined;
    const found = this.nearest(number, "below");
    return found === undefined ? undefined : ((this.lowest + found) as Address);
  }

  has(target: Address): boolean {
    return this.next(target) === target;
  }

  private nearest(number: number, way: Way): number | undefined {
    const { allowed } = this;
    const high = allowed.length - 1;
    // How many of the highest digits stay as they are.
    let kept = 0;
    while (kept <= high && allowed[high - kept]?.has[digitOf(number, high - kept)] === 1) kept++;
    if (kept > high) return number;
    for (; kept >= 0; kept--) {
      const digit = high - kept;
      const other = allowed[digit]?.[way][digitOf(number, digit)] ?? NONE;
      if (other === NONE) continue;
      const weight = 256 ** (digit + 1);
      let found = Math.floor(number / weight) * weight + other * 256 ** digit;
      for (let rest = 0; rest < digit; rest++) found += (allowed[rest] as Digits).first[way] * 256 ** rest; // in range
      return found;
    }
    return undefined;
  }
}

type Way = "above" | "below";

const NONE = -1;

/** What a digit may be. */
interface Digits {
  /** By digit: 1 where it may be this one. */
  readonly has: Uint8Array;
  /** By digit: the nearest other one, or {@link NONE}. */
  readonly above: Int16Array;
  readonly below: Int16Array;
  /** The one that comes first on the way. */
  readonly first: Readonly<Record<Way, number>>;
}

function digitOf(number: number, digit: number): number {
  return Math.floor(number / 256 ** digit) % 256;
}

const SIGN = 0x80;

function allowedDigits(traps: boolean, hasSign: boolean): Digits {
  const has = Uint8Array.from({ length: 256 }, (_, digit) =>
    !traps || isTrapByte(hasSign ? digit ^ SIGN : digit) ? 1 : 0,
  );
  const above = new Int16Array(256);
  const below = new Int16Array(256);
  let [low, high] = [NONE, NONE];
  for (let digit = 0; digit < 256; digit++) {
    below[digit] = low;
    if (has[digit] === 1) low = digit;
    above[255 - digit] = high;
    if (has[255 - digit] === 1) high = 255 - digit;
  }
  return { has, above, below, first: { above: high, below: low } };
}

const ANY = allowedDigits(false, false);
const TRAPPING = allowedDigits(true, false);
const TRAPPING_SIGNED = allowedDigits(true, true);

function digitsOf(traps: boolean, hasSign: boolean): Digits {
  if (!traps) return ANY;
  return hasSign ? TRAPPING_SIGNED : TRAPPING;
}
