import type { Address } from "../../base/address.js";
import type { EmulationMemory } from "./emulate.js";
import { INT3, MachineCode } from "./machine-code.js";
import type { RegisterFile } from "./registers.js";

/** No slot is longer: room to reserve for one. */
export const SLOT_LENGTH = 56;

/**
 * What a thread with its program counter at a certain byte of a slot is really doing: what to put
 * right before anybody, a signal handler or a detached debugger, may see it there.
 */
export type SlotPoint =
  /** The instruction did not run, or is half way through its iterations: the thread is at `at`. */
  | {
      readonly kind: "before";
      readonly offset: number;
      readonly at: Address;
      /**
       * Only a call has one: takes the slot's address out of the word below the stack pointer,
       * where the attempt may have left it. To be called, where there is one, before the thread
       * goes on. Throws nothing.
       */
      readonly repair?: (registers: RegisterFile, memory: EmulationMemory) => void;
    }
  /** The instruction is done: the thread is at `at`. */
  | { readonly kind: "after"; readonly offset: number; readonly at: Address }
  /** Some of it is done. `finish` does the rest, program counter included. */
  | {
      readonly kind: "unfinished";
      readonly offset: number;
      /** @throws MemoryFault having changed nothing; only where another thread has unmapped the stack since */
      readonly finish: (registers: RegisterFile, memory: EmulationMemory) => void;
    };

/** Code of one displaced instruction, good for the one address it was built for. */
export interface SlotCode {
  readonly kind: "slot";
  readonly bytes: Uint8Array;
  /** Every value that the program counter can have in the slot, as an offset, ascending. */
  readonly points: readonly SlotPoint[];
  /**
   * Offsets that the program counter has when an `int3` of ours was executed (not one of the
   * program's own that was copied): one for each way the instruction can go, and each one of
   * {@link points}. Empty where the thread leaves the slot without a stop. Where stops are inserted
   * ({@link SlotEnd}) the byte before each is the beginning of the way on.
   */
  readonly stops: readonly number[];
}

/** The slot is too far from what the instruction refers to: map another one near `near`. */
export interface OutOfReach {
  readonly kind: "out-of-reach";
  /** The address that must lie within ±2 GiB of the slot. */
  readonly near: Address;
}

/**
 * How a slot ends: it goes on to the program; with an `int3` of ours; or with one that the target puts there
 * itself, over code that goes on: a thread is unharmed where the target has taken it out by itself.
 */
export type SlotEnd = "goes-on" | "int3" | "inserted-stop";

/** @returns undefined for an offset that no thread can have */
export function slotPoint(code: SlotCode, offset: number): SlotPoint | undefined {
  for (const point of code.points) if (point.offset === offset) return point;
  return undefined;
}

/** Assembles a slot and keeps the meaning of each of its addresses beside it. */
export class SlotBuilder {
  readonly code: MachineCode;
  private readonly points: SlotPoint[] = [];
  private readonly stops: number[] = [];

  constructor(slot: Address) {
    this.code = new MachineCode(slot);
  }

  /** The next byte to come: the instruction at `at` is still to be run. */
  before(at: Address, repair?: (registers: RegisterFile, memory: EmulationMemory) => void): void {
    const offset = this.code.length;
    this.points.push(
      repair === undefined ? { kind: "before", offset, at } : { kind: "before", offset, at, repair },
    );
  }

  /** The next byte to come: the instruction is done, the thread is at `at`. */
  after(at: Address, offset = this.code.length): void {
    this.points.push({ kind: "after", offset, at });
  }

  /** The next byte to come: some of the instruction is done. */
  unfinished(
    finish: (registers: RegisterFile, memory: EmulationMemory) => void,
    offset = this.code.length,
  ): void {
    this.points.push({ kind: "unfinished", offset, finish });
  }

  /** The instruction is done: stop here, or go on at `at`. */
  leave(at: Address, end: SlotEnd): void {
    this.after(at);
    if (end === "goes-on") this.code.jump(at);
    else
      this.stop(
        end,
        (offset) => {
          this.after(at, offset);
        },
        () => {
          this.code.jump(at);
        },
      );
  }

  /**
   * Begins the code of another way that the instruction can go. A byte lies between, which nothing
   * runs: behind the stop of the one way must not be where the other comes in.
   */
  otherWay(): void {
    this.code.bytes(INT3);
  }

  /**
   * A stop of our own.
   *
   * @param behind says what it means that the program counter is behind it
   * @param wayOn  assembles what a thread does there that is not stopped
   */
  stop(end: Exclude<SlotEnd, "goes-on">, behind: (offset: number) => void, wayOn: () => void): void {
    const offset = this.code.length + 1;
    this.stops.push(offset);
    behind(offset);
    if (end === "int3") this.code.bytes(INT3);
    else wayOn();
  }

  finish(): SlotCode {
    return { kind: "slot", bytes: this.code.finish(), points: this.points, stops: this.stops };
  }
}
