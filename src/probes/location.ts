import type { Address } from "../base/address.js";
import type { Displacement, Refusal } from "../arch/x86_64/displaced.js";
import type { SlotCode } from "../arch/x86_64/slot.js";
import type { SpaceId } from "../targets/target.js";
import type { Hit, Probe } from "./probe.js";

/** `int3`. */
export const BREAKPOINT = 0xcc;

/** A probe's place in the line at one location. */
export interface Entry {
  readonly probe: Probe;
  /** Tells several entries of one probe at one location apart. */
  readonly key: unknown;
  /** Where present and false for this arrival, the probe is not concerned: a return by another thread. */
  readonly accepts: ((hit: Hit) => boolean) | undefined;
}

/** Where a displaced instruction executes out of line. */
export interface Slot {
  readonly address: Address;
  readonly location: Location;
  readonly code: SlotCode;
  /** Key among the slots of its location. */
  readonly form: SlotForm;
}

/**
 * `boosted` ends with a jump back, `stopping` with a breakpoint behind the instruction; the others
 * are for threads in which emulating the instruction met that obstacle.
 */
export type SlotForm = `${"boosted" | "stopping"}${"" | `, ${string}`}`;

/** A plan for an instruction that can be displaced. */
export type Displaceable = Exclude<Displacement, Refusal>;

/**
 * One probed address of one space. It stays in the table when its last probe leaves: threads may
 * still stand in its slots, and who comes back finds them ready.
 */
export class Location {
  /** In order of registration. Replaced, never changed, so that a hit under way keeps its own list. */
  entries: readonly Entry[] = [];
  /** The breakpoint instruction is in the text. */
  armed = false;
  /** No slot can be had, and none is needed: the instruction is emulated, whatever that costs. */
  slotless = false;
  /** Where the displaced instruction executes, once a thread had to. */
  readonly slots = new Map<SlotForm, Slot>();

  constructor(
    readonly space: SpaceId,
    readonly address: Address,
    readonly originalByte: number,
    readonly displacement: Displaceable,
  ) {}

  /** The same location in a copy of its space: fork copied the text and the slots as they are. */
  copyTo(space: SpaceId): Location {
    const copy = new Location(space, this.address, this.originalByte, this.displacement);
    copy.entries = this.entries;
    copy.armed = this.armed;
    return copy;
  }
}
