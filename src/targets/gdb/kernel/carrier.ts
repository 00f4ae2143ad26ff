import type { InstructionFacts } from "../../../arch/x86_64/instruction-facts.js";
import type { Address } from "../../../base/address.js";
import type { MemoryFaultReason } from "../../../base/errors.js";
import type { ReturnToken, ThreadId } from "../../target.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { ExceptionFrame } from "./exception-frame.js";
import type { Executed } from "./in-place.js";
import type { Vcpu } from "./machine.js";

/** A stop that is none of the machine's end. */
export type Stopped = Extract<StopReply, { kind: "stopped" }>;

/** A thread that was told to have stopped, and where. */
export interface Standing {
  readonly vcpu: Vcpu;
  /** Where the processor is to be when the kernel is to deal with the exception itself. */
  readonly vector: number | undefined;
  readonly frame: ExceptionFrame | undefined;
  /** It has begun to deal with an interrupt that has nothing to do with us, and goes on with that whatever it is told. */
  readonly isInterrupted?: boolean;
}

/** A processor that has come to a breakpoint of ours. Its wanted registers are those behind the breakpoint. */
export interface Arrival {
  readonly standing: Standing;
  readonly at: Address;
  readonly sp: Address;
  /** The bytes of the pointer to the current task; undefined where they could not be read. */
  readonly current: Uint8Array | undefined;
}

/** Who is told of arrivals. */
export interface Arrivals {
  /** @param cameBack whether the thread has just come back to the instruction by the end of a fault's handling */
  arrive(arrival: Arrival, cameBack: (thread: ThreadId) => ReturnToken): void;

  /** What {@link Carrier.execute} had begun is done. */
  executed(thread: ThreadId, vcpu: Vcpu): void;
}

/**
 * How breakpoints get into a running kernel, how a stop of its machine becomes an arrival at one of them, and
 * how a processor gets on from there. The machine stands still whenever one of these is called.
 */
export interface Carrier {
  /** Whether memory that is read shows breakpoints as `int3`. */
  readonly visible: boolean;
  /** See Capabilities. */
  readonly keepsStackPointer?: boolean;
  readonly hidesFaults?: string;
  /** Why no user's memory can be had, where that is so. */
  readonly withoutUsers?: MemoryFaultReason;

  /** @throws ProbeRefused none can be there */
  insert(at: Address): void;

  /** @returns false where somebody else's is there */
  remove(at: Address): boolean;

  /** What a stop means: arrivals are told, everything else goes on as though nobody had looked. */
  interpret(stop: Stopped): void;

  /**
   * Executes the instruction under a breakpoint where it stands; the processor's wanted registers are those
   * before, and after.
   *
   * @returns "begun" where the machine runs meanwhile: {@link Arrivals.executed} is called then
   */
  execute(
    thread: ThreadId,
    vcpu: Vcpu,
    instruction: InstructionFacts,
    original: number,
  ): Executed | { readonly kind: "begun" };

  /**
   * The kernel deals with the exception or interrupt that a thread stands at, with the registers that it had, and
   * what a handler changed of them.
   *
   * @param watch what is told of the thread's return to the instruction; 0: nothing need be
   */
  deliver(thread: ThreadId, standing: Standing, watch: ReturnToken): void;

  /**
   * Takes everything out, and lets the machine run without us.
   *
   * @param untold stood at breakpoints of which nobody has heard: they execute what is there instead
   * @param ended  the machine ended meanwhile
   */
  leave(untold: readonly Standing[], ended: (reply: Exclude<StopReply, Stopped>) => void): void;
}
