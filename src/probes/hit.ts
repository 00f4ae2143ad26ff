import type { Address } from "../base/address.js";
import type { RegisterFile } from "../arch/x86_64/registers.js";
import type { Memory, SpaceId, Target, ThreadFacts, ThreadId } from "../targets/target.js";
import type { Probe } from "./probe.js";

export type Phase = "pre" | "post" | "fault";

/** An exception that the probed instruction raised: case 3 of the mail. */
export interface InstructionFault {
  /** `"SIGSEGV"`, or the exception's mnemonic on a target that has no signals. */
  readonly name: string;
  /** Signal or vector number. */
  readonly number: number;
  /** `si_code` or the error code. */
  readonly code: number;
  /** Address accessed, where the exception has one. */
  readonly address: bigint | undefined;
  /** Restartable, and the target has a handler that can return to the instruction. */
  readonly retryable: boolean;
}

/**
 * One call of one handler: what it may ask. One object a core, refilled for each call, so a
 * handler must not keep it.
 */
export class Hit {
  thread = 0 as ThreadId;
  space = 0 as SpaceId;
  /** The probed address. */
  at = 0 as Address;
  phase: Phase = "pre";
  /** The probe whose handler runs. Set before every call. */
  probe!: Probe;
  /** Registers as at the probed instruction (pre, fault) or behind it (post). Writable. */
  registers!: RegisterFile;
  /** Set in the fault phase, and in a post-handler called for both outcomes. */
  fault: InstructionFault | undefined;
  /** How often in a row this instruction was tried again by this thread, this time included. */
  retries = 0;
  /** Faults of handlers within this hit, fenced or not: what `maxfault` bounds. */
  handlerFaults = 0;

  constructor(readonly target: Target) {}

  get memory(): Memory {
    return this.target.memory(this.space);
  }

  facts(): ThreadFacts {
    return this.target.facts(this.thread);
  }
}
