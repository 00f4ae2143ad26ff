import { addressFromHalves } from "../../base/address.js";
import { TargetError } from "../../base/errors.js";
import type { Vaddr } from "../vaddr.js";

const HALF = 2 ** 32;
/** Longer numbers are damage: ten bytes hold 64 bits. */
const MOST_LEB_BYTES = 16;

/**
 * Reads forward through a piece of DWARF. What is said of a place counts from the beginning of the
 * section, whatever piece of it this is.
 *
 * Every read throws a {@link TargetError} where the piece has ended.
 */
export class Cursor {
  private readonly view: DataView;

  /**
   * @param what  names the section in sentences: `vmlinux, .debug_info`
   * @param first where in the section `bytes` begin
   */
  constructor(
    readonly bytes: Buffer,
    readonly what: string,
    readonly first = 0,
    public at = 0,
    readonly end = bytes.length,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where it stands in the section. */
  get offset(): number {
    return this.first + this.at;
  }

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  damaged(how: string, at = this.offset): TargetError {
    return damage(this.what, at, how);
  }

  u8(): number {
    return this.view.getUint8(this.step(1));
  }

  u16(): number {
    return this.view.getUint16(this.step(2), true);
  }

  u24(): number {
    const at = this.step(3);
    return this.view.getUint16(at, true) + this.view.getUint8(at + 2) * 0x1_0000;
  }

  u32(): number {
    return this.view.getUint32(this.step(4), true);
  }

  /** Exact below 2^53; what is larger is no size or offset of a real file, and is outside of everything. */
  u64(): number {
    const at = this.step(8);
    return this.view.getUint32(at + 4, true) * HALF + this.view.getUint32(at, true);
  }

  i8(): number {
    return this.view.getInt8(this.step(1));
  }

  i16(): number {
    return this.view.getInt16(this.step(2), true);
  }

  i32(): number {
    return this.view.getInt32(this.step(4), true);
  }

  big64(): bigint {
    return this.view.getBigUint64(this.step(8), true);
  }

  vaddr(): Vaddr {
    const at = this.step(8);
    const low = this.view.getUint32(at, true);
    return addressFromHalves(low, this.view.getUint32(at + 4, true)) as number as Vaddr;
  }

  /** An offset into a section: 4 bytes, or 8 in DWARF of 64 bits. */
  sectionOffset(wide: boolean): number {
    return wide ? this.u64() : this.u32();
  }

  /** Unsigned LEB128; exact as {@link u64} is. */
  uleb(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MOST_LEB_BYTES; count += 1) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw this.damaged("a number has no end");
  }

  /** Unsigned LEB128 of which 64 bits are kept. */
  bigUleb(): bigint {
    let value = 0n;
    for (let count = 0; count < MOST_LEB_BYTES; count += 1) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw this.damaged("a number has no end");
  }

  /** Signed LEB128 of which 64 bits are kept. */
  bigSleb(): bigint {
    let value = 0n;
    for (let count = 0; count < MOST_LEB_BYTES; count += 1) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << BigInt(7 * count);
      if (byte < 0x80) return BigInt.asIntN(64, BigInt.asIntN(7 * (count + 1), value));
    }
    throw this.damaged("a number has no end");
  }

  /** Passes a number in LEB128 by. */
  skipLeb(): void {
    for (let count = 0; count < MOST_LEB_BYTES; count += 1) if (this.u8() < 0x80) return;
    throw this.damaged("a number has no end");
  }

  /** Bytes that are there already: not a copy. */
  take(length: number): Buffer {
    const at = this.step(length);
    return this.bytes.subarray(at, at + length);
  }

  skip(length: number): void {
    this.step(length);
  }

  /** Text up to a NUL, as UTF-8. */
  text(): string {
    const start = this.at;
    this.skipText();
    return this.bytes.toString("utf8", start, this.at - 1);
  }

  skipText(): void {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0 || end >= this.end) throw this.damaged("a text has no end");
    this.at = end + 1;
  }

  private step(length: number): number {
    const { at } = this;
    // Written so that NaN and numbers too large to be exact fail as well.
    if (!(length >= 0 && at + length <= this.end)) throw this.damaged("something goes past the end");
    this.at = at + length;
    return at;
  }
}

/** The error of a damaged piece. @param at in the section */
export function damage(what: string, at: number, how: string): TargetError {
  return new TargetError(`${what} is damaged at 0x${at.toString(16)}: ${how}`);
}
