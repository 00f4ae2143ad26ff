import type { Address } from "../base/address.js";
import type { Breakpoints, Capabilities, Guard, Memory, SpaceId } from "../targets/target.js";
import type { Location } from "./location.js";
import { ProgramMemory } from "./program-memory.js";
import { SlotSpace } from "./slots.js";

/** A breakpoint that was in text which is no longer mapped. */
interface Forgotten {
  readonly originalByte: number;
  /** When that was seen; milliseconds. */
  readonly at: number;
}

/** What the core keeps of one address space: its locations and their slots. */
export class ProbedSpace {
  readonly locations = new Map<Address, Location>();
  slots = new SlotSpace();
  /** What handlers see. */
  readonly program: Memory;
  /** Breakpoints whose text is gone: a copy of the space that was made before may still hold them. */
  readonly forgotten = new Map<Address, Forgotten>();

  constructor(
    readonly id: SpaceId,
    readonly memory: Memory,
    readonly guard?: Guard,
    /** Of a program's forked child: its text was the program's. */
    readonly isCopy = false,
    readonly hasShadowStacks?: Capabilities["hasShadowStacks"],
    /** Where the target keeps breakpoints itself. */
    readonly breakpoints?: Breakpoints,
    readonly hidesFaults?: Capabilities["hidesFaults"],
  ) {
    this.program = new ProgramMemory(memory, this.locations);
  }

  /** The books of a forked copy: its text already holds the same breakpoints. */
  copy(id: SpaceId, memory: Memory): ProbedSpace {
    const { guard, hasShadowStacks, breakpoints, hidesFaults } = this;
    const space = new ProbedSpace(id, memory, guard, true, hasShadowStacks, breakpoints, hidesFaults);
    for (const [address, location] of this.locations) space.locations.set(address, location.copyTo(id));
    space.slots = this.slots.copy((original) => space.locations.get(original.address));
    return space;
  }
}
