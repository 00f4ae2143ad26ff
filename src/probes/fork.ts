import { type Address, offsetBy } from "../base/address.js";
import { BREAKPOINT, type Location } from "./location.js";
import type { ProbedSpace } from "./space.js";

const PAGE = 4096;

/**
 * Makes a forked copy of a space be what its books say. The books are copied when the child is
 * first seen, its memory was copied at the fork: meanwhile its parent ran on, and may have been
 * given a slot, or had a breakpoint put in or taken out, that the child does not have.
 *
 * @param space whose threads stand still
 */
export function agreeWithMemory(space: ProbedSpace): void {
  for (const region of [...space.slots.regions()]) {
    const used = region.slots.at(-1);
    if (used === undefined) continue;
    const bytes = new Uint8Array(used.address - region.start + used.code.bytes.length);
    if (space.memory.readSome(region.start, bytes) < bytes.length) {
      // Mapped after the fork: the child gets slots of its own when it needs them.
      space.slots.drop(region);
      continue;
    }
    for (const slot of region.slots) {
      const from = slot.address - region.start;
      const there = bytes.subarray(from, from + slot.code.bytes.length);
      if (!equal(there, slot.code.bytes)) space.memory.writeText(slot.address, slot.code.bytes);
    }
  }
  for (const [page, locations] of byPage(space.locations.values())) agreeOnPage(space, page, locations);
}

function byPage(locations: Iterable<Location>): Map<Address, Location[]> {
  const pages = new Map<Address, Location[]>();
  for (const location of locations) {
    const page = (Math.floor(location.address / PAGE) * PAGE) as Address;
    const list = pages.get(page);
    if (list === undefined) pages.set(page, [location]);
    else list.push(location);
  }
  return pages;
}

function agreeOnPage(space: ProbedSpace, page: Address, locations: readonly Location[]): void {
  const bytes = new Uint8Array(PAGE);
  const length = space.memory.readSome(page, bytes);
  for (const location of locations) {
    const offset = location.address - page;
    if (offset >= length) continue; // unmapped meanwhile: its image goes when that is seen
    const wanted = location.armed ? BREAKPOINT : location.originalByte;
    const other = location.armed ? location.originalByte : BREAKPOINT;
    // Anything else is text that somebody else wrote: not ours to change.
    if (bytes[offset] === other && other !== wanted) {
      space.memory.writeText(offsetBy(page, offset), Uint8Array.of(wanted));
    }
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.every((byte, index) => byte === other[index]);
}
