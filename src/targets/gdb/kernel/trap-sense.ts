import type { Address } from "../../../base/address.js";
import type { Vcpu } from "./machine.js";

/** The vector of `int3`. */
export const BREAKPOINT_VECTOR = 3;

/**
 * How a machine is made to stop where the processor begins to deal with an exception, with the frame that
 * it pushed on top of the stack and every other register untouched.
 */
export interface TrapSense {
  /** Whether the stub watches memory. */
  readonly watches: boolean;

  /** The exception at whose beginning a processor stands that has this program counter. */
  vectorAt(pc: Address): number | undefined;

  /** Lets the kernel deal with it: the processor is to go on as though it had not been stopped. */
  passOn(vcpu: Vcpu, vector: number): void;

  /** Stops at these exceptions, too, or no longer. Sent with the next flush of the pipeline. */
  alsoAt(vectors: readonly number[]): void;
  noLonger(): void;

  /** Takes everything back. */
  remove(): void;
}
