import { type Address, formatAddress } from "./address.js";
import type { RefusalReason } from "./refusals.js";

/**
 * An error with a sentence for its reader: what failed, where, and what to do about it.
 * Everything that Trapline throws on purpose is one of these; anything else is a bug of ours.
 */
export abstract class TraplineError extends Error {
  /** What the reader can do; absent where the message says all there is. */
  readonly remedy?: string;

  constructor(message: string, options: { readonly cause?: unknown; readonly remedy?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    if (options.remedy !== undefined) this.remedy = options.remedy;
  }
}

/** The command line, a file or an argument is not usable: exit status 2. */
export class UsageError extends TraplineError {}

/** The target cannot be had or cannot be probed: exit status 2. */
export class TargetError extends TraplineError {}

/** The target, or the thread meant, is no longer there. */
export class TargetGone extends TargetError {}

/** Why memory could not be read or written. */
export const MEMORY_FAULT_REASONS = [
  "not-canonical",
  "not-user-space",
  "unmapped",
  "no-access",
  "past-end-of-file",
  "userfaultfd",
  "user memory, which KGDB does not read or write",
] as const;

export type MemoryFaultReason = (typeof MEMORY_FAULT_REASONS)[number];

/**
 * An error that handlers may raise at every hit. It notes no JavaScript stack: scripts have
 * positions of their own, and to note one takes longer than the rest of a fenced fault.
 */
export abstract class HandlerError extends TraplineError {
  constructor(message: string) {
    const frames = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = frames;
  }
}

/**
 * An access to target memory that the target's own load or store would have answered with a
 * signal. Raised by a handler it is a handler fault: a fence catches it.
 */
export class MemoryFault extends HandlerError {
  constructor(
    readonly address: bigint,
    readonly access: "read" | "write",
    readonly reason: MemoryFaultReason,
  ) {
    super(`${access} fault at 0x${address.toString(16)} (${reason})`);
  }
}

/** A location cannot take a probe. */
export class ProbeRefused extends TraplineError {
  constructor(
    readonly at: Address,
    readonly reason: RefusalReason,
    readonly detail: string,
  ) {
    super(`cannot probe ${formatAddress(at)}: ${detail}`);
  }
}
