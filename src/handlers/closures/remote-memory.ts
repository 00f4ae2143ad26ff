import { type Address, offsetBy, toBigInt } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { Memory } from "../../targets/target.js";
import { LOOKUP_BYTES, type Mailbox } from "./mailbox.js";

/**
 * Target memory as the owner's handlers see it where only the engine can reach it: a connection belongs to
 * the thread that made it. What is read is without the engine's breakpoints.
 */
export class RemoteMemory implements Memory {
  constructor(private readonly mailbox: Mailbox) {}

  read(at: Address, into: Uint8Array): void {
    const got = this.readSome(at, into);
    if (got < into.length) throw this.faultAt(offsetBy(at, got));
  }

  readSome(at: Address, into: Uint8Array): number {
    for (let done = 0; done < into.length;) {
      const part = into.subarray(done, done + LOOKUP_BYTES);
      const { length } = this.mailbox.access("read", offsetBy(at, done), part);
      done += length;
      if (length < part.length) return done;
    }
    return into.length;
  }

  faultAt(at: Address): MemoryFault {
    const { reason } = this.mailbox.access("read", at, new Uint8Array(1));
    return new MemoryFault(toBigInt(at), "read", reason);
  }

  write(at: Address, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; done += LOOKUP_BYTES) {
      const part = bytes.slice(done, done + LOOKUP_BYTES);
      const { length, reason } = this.mailbox.access("write", offsetBy(at, done), part);
      if (length < part.length) throw new MemoryFault(toBigInt(offsetBy(at, done + length)), "write", reason);
    }
  }

  writeText(at: Address, bytes: Uint8Array): void {
    this.write(at, bytes);
  }
}
