import { type Address, offsetBy } from "../base/address.js";
import type { MemoryFault } from "../base/errors.js";
import type { Memory } from "../targets/target.js";
import { BREAKPOINT, type Location } from "./location.js";

/**
 * Memory as the program would have it without us: where a breakpoint of ours stands, reads give the
 * byte that it replaced. For handlers; the core itself must see what is there.
 */
export class ProgramMemory implements Memory {
  constructor(
    private readonly actual: Memory,
    private readonly locations: ReadonlyMap<Address, Location>,
  ) {}

  read(at: Address, into: Uint8Array): void {
    this.actual.read(at, into);
    hideBreakpoints(this.locations, at, into, into.length);
  }

  readSome(at: Address, into: Uint8Array): number {
    const length = this.actual.readSome(at, into);
    hideBreakpoints(this.locations, at, into, length);
    return length;
  }

  faultAt(at: Address): MemoryFault {
    return this.actual.faultAt(at);
  }

  write(at: Address, bytes: Uint8Array): void {
    this.actual.write(at, bytes);
  }

  writeText(at: Address, bytes: Uint8Array): void {
    this.actual.writeText(at, bytes);
  }
}

/**
 * Replaces our breakpoints in bytes that were read at an address. Costs a look at the bytes only,
 * where none of them could be a breakpoint.
 */
export function hideBreakpoints(
  locations: ReadonlyMap<Address, Location>,
  at: Address,
  bytes: Uint8Array,
  length: number,
): void {
  for (let offset = bytes.indexOf(BREAKPOINT); offset >= 0 && offset < length;) {
    const location = locations.get(offsetBy(at, offset));
    if (location?.armed === true) bytes[offset] = location.originalByte;
    offset = bytes.indexOf(BREAKPOINT, offset + 1);
  }
}
