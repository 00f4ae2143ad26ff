import { type Address, offsetBy } from "../../base/address.js";
import { BREAKPOINT } from "../../probes/location.js";
import type { MemoryFault } from "../../base/errors.js";
import type { Memory } from "../../targets/target.js";
import { LOOKUP_BYTES, type Mailbox } from "./mailbox.js";

/**
 * Target memory as the owner's handlers see it: where a breakpoint of ours stands, reads give the
 * program's own byte. Only the engine knows which they are, so it is asked; but only for bytes
 * that could be one, which few reads bring.
 */
export class OwnerMemory implements Memory {
  constructor(
    private readonly actual: Memory,
    private readonly mailbox: Mailbox,
  ) {}

  read(at: Address, into: Uint8Array): void {
    this.actual.read(at, into);
    this.hideBreakpoints(at, into);
  }

  readSome(at: Address, into: Uint8Array): number {
    const length = this.actual.readSome(at, into);
    this.hideBreakpoints(at, into.subarray(0, length));
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

  private hideBreakpoints(at: Address, bytes: Uint8Array): void {
    for (let from = bytes.indexOf(BREAKPOINT); from >= 0;) {
      this.mailbox.lookUp(offsetBy(at, from), bytes.subarray(from, from + LOOKUP_BYTES));
      from = bytes.indexOf(BREAKPOINT, from + LOOKUP_BYTES);
    }
  }
}
