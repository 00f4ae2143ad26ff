import type { Address } from "../../../base/address.js";
import type { RegisterFile } from "../registers.js";
import type { SlotPoint } from "../slot.js";

/**
 * What a thread with its program counter at a certain byte of a trampoline, outside of the handler, is really
 * doing. As in a slot (see {@link SlotPoint}), and what only a trampoline has to say.
 */
export type TrampolinePoint = SlotPoint & {
  /** The handler of this arrival is behind the thread; who moves the thread to the probed address counts no hit. */
  readonly handlerRan: boolean;
  /** Whose doing a fault is that comes here; undefined: ours, and the program has not to see it. */
  readonly fault: OriginalFault | undefined;
  /** The displaced instruction that has raised a trap (int3, a system call's SIGSYS) which comes here, if one can. */
  readonly trap: Address | undefined;
};

/** A fault of a displaced instruction, as the program has to see it. */
export interface OriginalFault {
  readonly at: Address;
  /** Bytes that its copy has pushed before it, to be taken back. */
  readonly pushed: number;
}

/** Puts a thread that has faulted in a trampoline where it would have faulted without one. */
export function showFault(fault: OriginalFault, registers: RegisterFile): void {
  if (fault.pushed !== 0) registers.write("rsp", registers.read("rsp") + BigInt(fault.pushed));
  registers.pc = fault.at;
}

/** Offsets in a trampoline: `start` is in it, `end` is not. */
export interface OffsetRange {
  readonly start: number;
  readonly end: number;
}

/** The code in place of a jump, good for the one address it was built for. */
export interface Trampoline {
  readonly kind: "trampoline";
  /** The handler's room is filled with `int3`, and so is what nothing runs. */
  readonly bytes: Uint8Array;
  /** Room for the handler. Its tables say what a program counter in it means. */
  readonly handler: OffsetRange;
  /** Every value that the program counter can have outside of the handler, as an offset, ascending. */
  readonly points: readonly TrampolinePoint[];
  /**
   * By displaced instruction: the offset where a thread goes on that stands at the instruction in the program,
   * as if it had never been displaced. Who comes to the probed one this way runs the handler.
   */
  readonly entries: readonly number[];
}

/** @returns undefined for an offset that no thread can have: the handler's are not looked for */
export function trampolinePoint(trampoline: Trampoline, offset: number): TrampolinePoint | undefined {
  for (const point of trampoline.points) if (point.offset === offset) return point;
  return undefined;
}
