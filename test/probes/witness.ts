import type { Address } from "../../src/base/address.js";
import type { SpaceId, ThreadId } from "../../src/targets/target.js";

/** How an instruction of the program came to be executed; a slot, or its place while only it runs: `out of line`. */
export type How = "in its place" | "out of line" | "emulated";

/** Told of everything that the threads really do: the truth that the core's books are held against. */
export interface Witness {
  executed(thread: ThreadId, offset: number, how: How): void;
  /** A thread executed what a slot holds behind the instruction. */
  wentBack(thread: ThreadId): void;
  /** A signal handler of the program begins. */
  interrupted(thread: ThreadId): void;
  /** So many signal handlers of the program, the last that began among them, were left by a jump. */
  jumped(thread: ThreadId, handlers: number): void;
  /** Which instruction's slot this is. */
  locationOfSlot(space: SpaceId, pc: Address): Address | undefined;
}
