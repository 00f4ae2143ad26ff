import { type Address, type AddressRange, offsetBy } from "../../../base/address.js";
import type { Reach } from "./reach.js";

/** Gaps of so many bytes are found without a look at the smaller ones, which are many between trampolines. */
const WIDE = 80;

/** Free ranges, ascending, none touching another. */
export class Gaps {
  private readonly ranges: AddressRange[] = [];
  /** Those of them that are {@link WIDE}. */
  private readonly wide: AddressRange[] = [];

  get all(): readonly AddressRange[] {
    return this.ranges;
  }

  /** What was not free is now; it joins what it touches. */
  add({ start, end }: AddressRange): void {
    const index = firstEndingAt(this.ranges, start);
    let last = index;
    let low = start;
    let high = end;
    for (
      let range = this.ranges[last];
      range !== undefined && range.start <= end;
      range = this.ranges[++last]
    ) {
      low = Math.min(low, range.start) as Address;
      high = Math.max(high, range.end) as Address;
    }
    this.replace(index, last - index, [{ start: low, end: high }]);
  }

  /** Takes a range away, free or not. */
  remove({ start, end }: AddressRange): void {
    const index = firstEndingAt(this.ranges, offsetBy(start, 1));
    const left: AddressRange[] = [];
    let last = index;
    for (
      let range = this.ranges[last];
      range !== undefined && range.start < end;
      range = this.ranges[++last]
    ) {
      if (range.start < start) left.push({ start: range.start, end: start });
      if (range.end > end) left.push({ start: end, end: range.end });
    }
    this.replace(index, last - index, left);
  }

  /** The lowest place for `size` bytes that begin within reach. */
  find(reach: Reach, size: number): Address | undefined {
    const ranges = size >= WIDE ? this.wide : this.ranges;
    let index = 0;
    for (let range = ranges[0]; range !== undefined; range = ranges[index]) {
      if (range.end - range.start < size) {
        index++;
        continue;
      }
      const at = reach.next(range.start);
      if (at === undefined) return undefined;
      if (at + size <= range.end) return at;
      // What is in reach may be far from here.
      index = Math.max(index + 1, at < range.end ? 0 : firstEndingAt(ranges, offsetBy(at, 1)));
    }
    return undefined;
  }

  private replace(index: number, count: number, by: readonly AddressRange[]): void {
    const gone = this.ranges.splice(index, count, ...by);
    for (const range of gone) if (isWide(range)) this.wide.splice(firstEndingAt(this.wide, range.end), 1);
    for (const range of by)
      if (isWide(range)) this.wide.splice(firstEndingAt(this.wide, range.end), 0, range);
  }
}

function isWide({ start, end }: AddressRange): boolean {
  return end - start >= WIDE;
}

/** Index of the first range that ends at or behind an address. */
function firstEndingAt(ranges: readonly AddressRange[], at: Address): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as AddressRange).end < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

const PAGE = 4096;
const LOWEST = 0x10000; // vm.mmap_min_addr
const HIGHEST = 2 ** 47 - PAGE; // Linux arch/x86/include/asm/page_64_types.h, TASK_SIZE_MAX

/**
 * What is free in a program's address space, but for a margin around what is mapped: the heap grows, stacks do, and
 * where the program's own next mappings will be, ours should not.
 */
export function freeRanges(mapped: readonly AddressRange[], margin: number): Gaps {
  const free = new Gaps();
  free.add({ start: LOWEST as Address, end: HIGHEST as Address });
  for (const { start, end } of mapped) {
    const low = Math.max(0, Math.floor((start - margin) / PAGE) * PAGE);
    const high = Math.min(HIGHEST, Math.ceil((end + margin) / PAGE) * PAGE);
    if (low < high) free.remove({ start: low as Address, end: high as Address });
  }
  return free;
}
