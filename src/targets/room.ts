import type { Address } from "../base/address.js";
import type { Mapping } from "./target.js";

const PAGE = 4096;
/** Displacements are signed 32 bits; what is mapped must be reachable from all of a text around `near`. */
const REACH = 2 ** 31 - 64 * 2 ** 20;
/** How far from its neighbours: below libraries the kernel maps top-down, above the heap grows. */
const PREFERRED_DISTANCE = 2 ** 30;
const LOWEST = 0x10000; // vm.mmap_min_addr

/**
 * A free place within reach of `near`. Not beside what is mapped, if there is a choice: the addresses that the program's
 * own mmap and brk get should stay what they are.
 *
 * @param size bytes, whole pages
 * @returns undefined where there is none
 */
export function chooseRoom(mappings: readonly Mapping[], near: Address, size: number): Address | undefined {
  const low = Math.max(LOWEST, near - REACH);
  const high = Math.min(2 ** 47 - PAGE, near + REACH) - size;
  const wishes = [near - PREFERRED_DISTANCE, near - REACH, near + REACH - size];
  let best: number | undefined;
  let bestDistance = Infinity;
  let gapStart = 0;
  for (const next of [...mappings.filter((mapping) => mapping.start >= 0), undefined]) {
    const from = Math.max(low, gapStart);
    const to = Math.min(high, next === undefined ? high : next.start - size);
    gapStart = next?.end ?? gapStart;
    if (from > to) continue;
    for (const [rank, wish] of wishes.entries()) {
      const at = Math.floor(Math.min(Math.max(wish, from), to) / PAGE) * PAGE;
      const distance = Math.abs(at - wish) + rank * REACH;
      if (at < from || distance >= bestDistance) continue;
      best = at;
      bestDistance = distance;
    }
  }
  return best as Address | undefined;
}
