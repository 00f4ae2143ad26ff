import { rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import type { Cursor } from "./cursor.js";
import { type Entries, type Entry, sectionOffset } from "./entries.js";
import { ATTRIBUTE, RANGE_LIST } from "./facts.js";
import type { UnitHeader } from "./units.js";

/** More stretches than any code has; damaged lists overlap each other. */
const MOST_RANGES = 100_000;

/** Where the code of an entry is; undefined where it says nothing of that, empty where there is none. */
export function rangesOf(entries: Entries, entry: Entry): readonly VaddrRange[] | undefined {
  const ranges = entry.attributes.get(ATTRIBUTE.ranges);
  if (ranges !== undefined) {
    const cursor = listCursor(
      entries,
      entry.unit,
      ranges.kind === "list-index" ? ranges.index : undefined,
      sectionOffset(ranges),
    );
    return cursor === undefined ? undefined : readList(entries, cursor, entry.unit);
  }
  const start = entries.address(entry, ATTRIBUTE.lowPc);
  if (start === undefined) return undefined;
  // A distance, or, as in DWARF 3, an address.
  const distance = entries.number(entry, ATTRIBUTE.highPc);
  const end = distance === undefined ? entries.address(entry, ATTRIBUTE.highPc) : start + distance;
  return end !== undefined && end > start ? [{ start, end: end as Vaddr }] : [];
}

export function holds(ranges: readonly VaddrRange[], vaddr: Vaddr): boolean {
  return ranges.some(({ start, end }) => vaddr >= start && vaddr < end);
}

function listCursor(
  entries: Entries,
  unit: UnitHeader,
  index: number | undefined,
  offset: number | undefined,
): Cursor | undefined {
  if (unit.version < 5)
    return offset === undefined ? undefined : entries.sections.get("ranges").cursor(offset);
  const section = entries.sections.get("rnglists");
  if (index === undefined) return offset === undefined ? undefined : section.cursor(offset);
  const base = entries.basesOf(unit).rangeLists ?? 0;
  const table = section.cursor(base + index * (unit.wide ? 8 : 4));
  return section.cursor(base + table.sectionOffset(unit.wide));
}

function readList(entries: Entries, cursor: Cursor, unit: UnitHeader): VaddrRange[] {
  const ranges: VaddrRange[] = [];
  const add = (start: number, end: number): void => {
    if (ranges.length >= MOST_RANGES) throw cursor.damaged("a list of ranges has no end");
    if (end > start) ranges.push({ start: start as Vaddr, end: end as Vaddr });
  };
  let base: number = entries.basesOf(unit).low;
  if (unit.version < 5) {
    // Pairs; the largest address selects a base. DWARF 4, 2.17.3.
    for (;;) {
      const start = cursor.vaddr();
      const end = cursor.vaddr();
      if (start === 0 && end === 0) return ranges;
      if (start === -1) base = end;
      else add(base + start, base + end);
    }
  }
  for (;;) {
    const { offset } = cursor;
    const kind = cursor.u8();
    switch (kind) {
      case RANGE_LIST.end:
        return ranges;
      case RANGE_LIST.baseAddressx:
        base = entries.addressAt(unit, cursor.uleb());
        break;
      case RANGE_LIST.startxEndx: {
        const start = entries.addressAt(unit, cursor.uleb());
        add(start, entries.addressAt(unit, cursor.uleb()));
        break;
      }
      case RANGE_LIST.startxLength: {
        const start = entries.addressAt(unit, cursor.uleb());
        add(start, start + cursor.uleb());
        break;
      }
      case RANGE_LIST.offsetPair: {
        const start = base + cursor.uleb();
        add(start, base + cursor.uleb());
        break;
      }
      case RANGE_LIST.baseAddress:
        base = cursor.vaddr();
        break;
      case RANGE_LIST.startEnd: {
        const start = cursor.vaddr();
        add(start, cursor.vaddr());
        break;
      }
      case RANGE_LIST.startLength: {
        const start = cursor.vaddr();
        add(start, start + cursor.uleb());
        break;
      }
      default:
        throw cursor.damaged(`a list of ranges has an entry that is not known (${kind})`, offset);
    }
  }
}

/** A stretch of code and whose it is. */
interface Owned extends VaddrRange {
  readonly owner: number;
}

/** Whose code an address is in: entries by the stretches that they said. */
export class AddressTable {
  private readonly ranges: readonly Owned[];

  constructor(owned: readonly Owned[]) {
    this.ranges = [...owned].sort((one, other) => one.start - other.start);
  }

  at(vaddr: Vaddr): number | undefined {
    return rangeAt(this.ranges, vaddr)?.owner;
  }
}
