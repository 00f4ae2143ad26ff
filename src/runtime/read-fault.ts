import { type Address, addressOf, toBigInt } from "../base/address.js";
import { MemoryFault } from "../base/errors.js";
import type { Hit } from "../probes/probe.js";

/**
 * A read of the target's memory that failed. There is one for all reads of a session, filled anew
 * each time: a fault that a fence expects costs no object, no message and no look at why the
 * memory is not there.
 *
 * Reads return it, and the handler itself throws it, unless the function that read has an answer of
 * its own: V8 never compiles a function that always ends by an exception, and a read at a bad
 * address may be all that a handler does.
 */
export class ReadFault extends Error {
  private at: Address | bigint = 0n;
  private reason: "not-canonical" | "not-user-space" = "not-canonical";

  /** @param at the first byte that cannot be read; as a bigint where no memory can be looked at */
  of(at: Address | bigint): this {
    this.at = at;
    this.reason = "not-canonical";
    return this;
  }

  /** A kernel's address where a program's is wanted: what a kernel itself refuses to copy for a program. */
  ofKernel(at: bigint): this {
    this.at = at;
    this.reason = "not-user-space";
    return this;
  }

  get address(): bigint {
    return typeof this.at === "bigint" ? BigInt.asUintN(64, this.at) : toBigInt(this.at);
  }

  /** The same with its reason, for those who want to know: no fence expected it. */
  explain(hit: Hit): MemoryFault {
    return typeof this.at === "bigint"
      ? new MemoryFault(this.address, "read", this.reason)
      : hit.memory.faultAt(this.at);
  }

  /** Fills `into` from an address of a script. @returns undefined: there was no fault */
  whileFilling(into: Uint8Array, hit: Hit, at: bigint): this | undefined {
    const start = addressOf(at);
    if (start === undefined) return this.of(at);
    const got = hit.memory.readSome(start, into);
    return got < into.length ? this.of((start + got) as Address) : undefined;
  }
}
