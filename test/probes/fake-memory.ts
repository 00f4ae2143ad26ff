import type { Address } from "../../src/base/address.js";
import { MemoryFault } from "../../src/base/errors.js";
import type { Memory } from "../../src/targets/target.js";
import { PAGE } from "./fake-program.js";

interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** The memory of one space of the fake. */
export class FakeMemory implements Memory {
  private pieces: Piece[] = [];
  /**
   * Pages that are away, by their number, and how often an access of the program to them faults
   * before they are back. 0: it does not (somebody answers the fault), but our own accesses do.
   */
  private readonly away = new Map<number, number>();

  map(start: number, length: number): void {
    this.pieces.push({ start, bytes: new Uint8Array(length) });
  }

  unmap(start: number): void {
    this.pieces = this.pieces.filter((piece) => piece.start !== start);
  }

  /** As fork makes one. */
  copy(): FakeMemory {
    const copy = new FakeMemory();
    copy.pieces = this.pieces.map(({ start, bytes }) => ({ start, bytes: bytes.slice() }));
    return copy;
  }

  takeAway(at: Address, faults: number): void {
    this.away.set(Math.floor(at / PAGE), faults);
  }

  /** The program's own access. @returns false where it faults */
  access(at: Address): boolean {
    const page = Math.floor(at / PAGE);
    if (this.away.get(page) === 0) this.away.delete(page);
    return !this.away.has(page);
  }

  /** The program's handler did something about a fault there. */
  bringBack(at: Address): void {
    const page = Math.floor(at / PAGE);
    const faults = (this.away.get(page) ?? 0) - 1;
    if (faults > 0) this.away.set(page, faults);
    else this.away.delete(page);
  }

  read(at: Address, into: Uint8Array): void {
    const got = this.readSome(at, into);
    if (got < into.length) throw this.faultAt((at + got) as Address);
  }

  faultAt(at: Address): MemoryFault {
    return new MemoryFault(BigInt(at), "read", "unmapped");
  }

  readSome(at: Address, into: Uint8Array): number {
    for (let index = 0; index < into.length; index++) {
      const byte = this.isAway(at) ? undefined : this.byte(at + index);
      if (byte === undefined) return index;
      into[index] = byte;
    }
    return into.length;
  }

  write(at: Address, bytes: Uint8Array): void {
    if (this.isAway(at)) throw new MemoryFault(BigInt(at), "write", "unmapped");
    this.writeText(at, bytes);
  }

  writeText(at: Address, bytes: Uint8Array): void {
    const piece = this.pieces.find(({ start, bytes: all }) => at >= start && at < start + all.length);
    if (piece === undefined) throw new MemoryFault(BigInt(at), "write", "unmapped");
    piece.bytes.set(bytes, at - piece.start);
  }

  byte(at: number): number | undefined {
    for (const { start, bytes } of this.pieces)
      if (at >= start && at < start + bytes.length) return bytes[at - start];
    return undefined;
  }

  private isAway(at: Address): boolean {
    return this.away.has(Math.floor(at / PAGE));
  }
}
