import { type Address, type AddressRange, contains, offsetBy } from "../base/address.js";
import { SLOT_LENGTH } from "../arch/x86_64/slot.js";
import type { Location, Slot } from "./location.js";

const REGION_LENGTH = 64 * 1024;
/** How far a slot may be from its text: a 32-bit displacement from anywhere in it must reach. */
const REACH = 2 ** 31 - REGION_LENGTH;

/** Memory mapped for slots. */
export interface Region extends AddressRange {
  /** By position: slot k is at start + k × SLOT_LENGTH. */
  readonly slots: Slot[];
}

/** The out-of-line slots of one space. Slots are never reused while the space is probed: a thread may be in any. */
export class SlotSpace {
  private readonly all: Region[] = [];

  /** The slot that holds this address. Allocates nothing. */
  at(pc: Address): Slot | undefined {
    for (const region of this.all) {
      if (contains(region, pc)) return region.slots[Math.floor((pc - region.start) / SLOT_LENGTH)];
    }
    return undefined;
  }

  /**
   * Finds room within reach of `near`.
   *
   * @param map maps a new region, within ±2 GiB
   */
  reserve(near: Address, map: (near: Address, length: number) => Address): Address {
    const region =
      this.all.find((each) => hasRoom(each) && Math.abs(each.start - near) < REACH) ??
      this.add(map(near, REGION_LENGTH));
    return offsetBy(region.start, region.slots.length * SLOT_LENGTH);
  }

  /** Enters a slot that was written at the address just {@link reserve}d. */
  enter(slot: Slot): void {
    const region = this.all.find((each) => contains(each, slot.address));
    if (region === undefined) throw new RangeError("slot outside every region");
    region.slots.push(slot);
  }

  /** What was mapped for slots. */
  regions(): readonly Region[] {
    return this.all;
  }

  /** Forgets a region that is not there after all, and its slots. */
  drop(region: Region): void {
    this.all.splice(this.all.indexOf(region), 1);
    for (const slot of region.slots) slot.location.slots.delete(slot.form);
  }

  /** The slots of a copied space: same addresses, the copy's own locations. */
  copy(locationOf: (original: Location) => Location | undefined): SlotSpace {
    const copy = new SlotSpace();
    for (const region of this.all) {
      const slots = region.slots.map((slot): Slot => ({
        ...slot,
        location: locationOf(slot.location) ?? slot.location,
      }));
      copy.all.push({ start: region.start, end: region.end, slots });
      for (const slot of slots) slot.location.slots.set(slot.form, slot);
    }
    return copy;
  }

  private add(start: Address): Region {
    const region: Region = { start, end: offsetBy(start, REGION_LENGTH), slots: [] };
    this.all.push(region);
    return region;
  }
}

function hasRoom(region: Region): boolean {
  return offsetBy(region.start, (region.slots.length + 1) * SLOT_LENGTH) <= region.end;
}
