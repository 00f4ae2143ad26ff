import { addressFromHalves } from "../../base/address.js";
import { TargetError } from "../../base/errors.js";
import type { Vaddr } from "../vaddr.js";

const HALF = 2 ** 32;

/** Bounds what a damaged string table without NULs can cost; mangled names of 10,000 characters do occur. */
const MAX_STRING = 65_536;

/**
 * Little-endian fields of a piece of an ELF file. Each access is checked and answers with a
 * sentence where the piece is too short; loops over whole tables use {@link view} and check once.
 */
export class Fields {
  readonly view: DataView;
  readonly length: number;

  /** @param what names the piece in errors: `/bin/ls, .dynamic` */
  constructor(
    readonly bytes: Buffer,
    readonly what: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = bytes.length;
  }

  u8(at: number): number {
    this.check(at, 1);
    return this.view.getUint8(at);
  }

  u16(at: number): number {
    this.check(at, 2);
    return this.view.getUint16(at, true);
  }

  u32(at: number): number {
    this.check(at, 4);
    return this.view.getUint32(at, true);
  }

  i32(at: number): number {
    this.check(at, 4);
    return this.view.getInt32(at, true);
  }

  /** Exact below 2^53; what is larger is no size or offset of a real file and fails the checks made with it. */
  u64(at: number): number {
    this.check(at, 8);
    return this.view.getUint32(at + 4, true) * HALF + this.view.getUint32(at, true);
  }

  /** Signed; exact as {@link u64} is. */
  i64(at: number): number {
    this.check(at, 8);
    return this.view.getInt32(at + 4, true) * HALF + this.view.getUint32(at, true);
  }

  /** Sign-extended, as addresses are everywhere; not canonical where the file is damaged. */
  vaddr(at: number): Vaddr {
    this.check(at, 8);
    return vaddrIn(this.view, at);
  }

  /** Bytes up to a NUL, the end of the piece or `limit`, as UTF-8; `""` where `at` is outside. */
  string(at: number, limit = MAX_STRING): string {
    if (at < 0 || at >= this.length) return "";
    // The search must be bounded too: in a damaged table each of a million names would search all of it.
    const piece = this.bytes.subarray(at, at + limit);
    const end = piece.indexOf(0);
    return piece.toString("utf8", 0, end < 0 ? piece.length : end);
  }

  private check(at: number, size: number): void {
    if (at >= 0 && at + size <= this.length) return;
    throw new TargetError(`${this.what} is damaged: a field lies outside of it`);
  }
}

/** An address field, unchecked: for loops that have checked the table as a whole. */
export function vaddrIn(view: DataView, at: number): Vaddr {
  return addressFromHalves(view.getUint32(at, true), view.getUint32(at + 4, true)) as number as Vaddr;
}

/** A size field, unchecked as {@link vaddrIn}. */
export function sizeIn(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * HALF + view.getUint32(at, true);
}
