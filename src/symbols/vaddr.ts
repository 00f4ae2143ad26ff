import { type Address, formatAddress } from "../base/address.js";

/**
 * A virtual address as it stands in an ELF file (`p_vaddr`, `st_value`), before the image is
 * loaded anywhere. Branded apart from {@link Address} because a breakpoint at an address without
 * its load bias is the classic mistake of a tracer: {@link loadedAt} is the only way across.
 */
export type Vaddr = number & { readonly __brand: "Vaddr" };

/** A half-open range in an image: `start` is in it, `end` is not. */
export interface VaddrRange {
  readonly start: Vaddr;
  readonly end: Vaddr;
}

/** What to add to a {@link Vaddr} to get the {@link Address} in one address space; 0 for ET_EXEC. */
export type LoadBias = number & { readonly __brand: "LoadBias" };

/** Where a vaddr of an image lies in an address space in which the image has this bias. */
export function loadedAt(vaddr: Vaddr, bias: LoadBias): Address {
  return (vaddr + bias) as Address;
}

/** The reverse of {@link loadedAt}. */
export function unloadedFrom(address: Address, bias: LoadBias): Vaddr {
  return (address - bias) as Vaddr;
}

/** `0x1139`, as a disassembler writes it. */
export function formatVaddr(vaddr: Vaddr): string {
  return formatAddress(vaddr as number as Address);
}

/**
 * The range that holds `vaddr`, by binary search.
 *
 * @param ranges sorted by start, not overlapping
 */
export function rangeAt<Range extends VaddrRange>(ranges: readonly Range[], vaddr: Vaddr): Range | undefined {
  const range = ranges[lastAtOrBefore(ranges.length, (index) => ranges[index]?.start, vaddr)];
  return range !== undefined && vaddr < range.end ? range : undefined;
}

/**
 * Position of the last start that is not behind `vaddr`, by binary search; -1 where all are.
 *
 * @param startOf ascending
 */
export function lastAtOrBefore(
  count: number,
  startOf: (index: number) => number | undefined,
  vaddr: Vaddr,
): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((startOf(middle) ?? Infinity) <= vaddr) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The same ranges sorted, with those that touch or overlap made one. */
export function mergeRanges(ranges: readonly VaddrRange[]): VaddrRange[] {
  const merged: { start: Vaddr; end: Vaddr }[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && range.start <= last.end) {
      if (range.end > last.end) last.end = range.end;
    } else {
      merged.push({ start: range.start, end: range.end });
    }
  }
  return merged;
}
