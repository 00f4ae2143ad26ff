import { type Address, offsetBy } from "../base/address.js";
import { BREAKPOINT, type Location } from "./location.js";
import { putSlot } from "./out-of-line.js";
import { PAGE, byPage } from "./pages.js";
import type { ProbedSpace } from "./space.js";

/**
 * Makes a forked copy of a space be what its books say. The books are copied when the child is
 * first seen, its memory was copied at the fork: meanwhile its parent ran on, and may have been
 * given a slot, or had a breakpoint put in or taken out, that the child does not have.
 *
 * @param space     whose threads stand still
 * @param forgotten what its original had in text that was unmapped lately
 */
export function agreeWithMemory(space: ProbedSpace, forgotten: ProbedSpace["forgotten"]): void {
  restoreForgotten(space, forgotten);
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
      if (!equal(there, slot.code.bytes)) putSlot(space, slot.address, slot.code);
    }
  }
  // A target that keeps breakpoints itself, where nobody sees them, has given the copy what is the copy's.
  if (space.breakpoints?.visible === false) return;
  for (const [page, locations] of byPage(space.locations.values())) agreeOnPage(space, page, locations);
}

/** A child is seen for the first time so long after its fork, at most; milliseconds. */
const LATEST_FIRST_STOP = 10_000;

/** The text of a location is gone. A copy of the space that was made before it went is still to be told of. */
export function noteForgotten(space: ProbedSpace, { address, originalByte }: Location): void {
  space.forgotten.set(address, { originalByte, at: performance.now() });
}

/** Drops what no copy can be without any more. */
export function dropLongForgotten({ forgotten }: ProbedSpace): void {
  for (const [address, each] of forgotten) if (!isRecent(each)) forgotten.delete(address);
}

function isRecent({ at }: { readonly at: number }): boolean {
  return performance.now() - at < LATEST_FIRST_STOP;
}

/** A breakpoint that the books know no more is taken out of the copy: nobody would answer for it there. */
function restoreForgotten(space: ProbedSpace, forgotten: ProbedSpace["forgotten"]): void {
  const now = new Uint8Array(1);
  for (const [address, each] of forgotten) {
    if (!isRecent(each) || space.locations.get(address)?.armed === true) continue;
    if (space.memory.readSome(address, now) === 1 && now[0] === BREAKPOINT)
      space.memory.writeText(address, Uint8Array.of(each.originalByte));
  }
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
