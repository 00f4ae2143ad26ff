import type { Vaddr } from "../vaddr.js";
import type { Cursor } from "./cursor.js";
import { type Entries, sectionOffset } from "./entries.js";
import { LOCATION_LIST } from "./facts.js";
import type { Value } from "./forms.js";
import type { UnitHeader } from "./units.js";

/** An expression that was found, and where it stands. */
export interface FoundExpression {
  readonly bytes: Buffer;
  readonly what: string;
  /** In that section. */
  readonly at: number;
  /** It is said for a stretch of code, not for all of the scope. */
  readonly isExact: boolean;
}

/** More stretches than a variable's life has. */
const MOST_STRETCHES = 100_000;

/**
 * The expression of an attribute that says a location, for one place of the code: its own, or the one of its
 * list that is about that place.
 *
 * @returns undefined where a list says nothing of that place
 * @throws TargetError damaged
 */
export function expressionAt(
  entries: Entries,
  unit: UnitHeader,
  value: Value,
  vaddr: Vaddr,
): FoundExpression | undefined {
  if (value.kind === "block")
    return { bytes: value.bytes, what: entries.units.info.what, at: value.offset, isExact: false };
  const cursor = listCursor(entries, unit, value);
  if (cursor === undefined) return undefined;
  return unit.version < 5 ? inOldList(entries, cursor, unit, vaddr) : inList(entries, cursor, unit, vaddr);
}

function listCursor(entries: Entries, unit: UnitHeader, value: Value): Cursor | undefined {
  const offset = sectionOffset(value);
  if (unit.version < 5) return offset === undefined ? undefined : entries.sections.get("loc").cursor(offset);
  const section = entries.sections.get("loclists");
  if (value.kind !== "list-index") return offset === undefined ? undefined : section.cursor(offset);
  const base = entries.basesOf(unit).locationLists ?? 0;
  const table = section.cursor(base + value.index * (unit.wide ? 8 : 4));
  return section.cursor(base + table.sectionOffset(unit.wide));
}

/** `.debug_loc`: pairs, the largest address selects a base. DWARF 4, 2.6.2. */
function inOldList(
  entries: Entries,
  cursor: Cursor,
  unit: UnitHeader,
  vaddr: Vaddr,
): FoundExpression | undefined {
  let base: number = entries.basesOf(unit).low;
  for (let count = 0; count < MOST_STRETCHES; count += 1) {
    const start = cursor.vaddr();
    const end = cursor.vaddr();
    if (start === 0 && end === 0) return undefined;
    if (start === -1) {
      base = end;
      continue;
    }
    const expression = take(cursor, cursor.u16());
    if (vaddr >= base + start && vaddr < base + end) return expression;
  }
  throw cursor.damaged("a list of locations has no end");
}

/** `.debug_loclists`. DWARF 5, 7.7.3. */
function inList(
  entries: Entries,
  cursor: Cursor,
  unit: UnitHeader,
  vaddr: Vaddr,
): FoundExpression | undefined {
  let base: number = entries.basesOf(unit).low;
  let otherwise: FoundExpression | undefined;
  for (let count = 0; count < MOST_STRETCHES; count += 1) {
    const { offset } = cursor;
    const kind = cursor.u8();
    let start: number;
    let end: number;
    switch (kind) {
      case LOCATION_LIST.end:
        return otherwise;
      case LOCATION_LIST.baseAddressx:
        base = entries.addressAt(unit, cursor.uleb());
        continue;
      case LOCATION_LIST.baseAddress:
        base = cursor.vaddr();
        continue;
      case LOCATION_LIST.gnuViewPair:
        cursor.skipLeb();
        cursor.skipLeb();
        continue;
      case LOCATION_LIST.default:
        otherwise = { ...take(cursor, cursor.uleb()), isExact: false };
        continue;
      case LOCATION_LIST.startxEndx:
        start = entries.addressAt(unit, cursor.uleb());
        end = entries.addressAt(unit, cursor.uleb());
        break;
      case LOCATION_LIST.startxLength:
        start = entries.addressAt(unit, cursor.uleb());
        end = start + cursor.uleb();
        break;
      case LOCATION_LIST.offsetPair:
        start = base + cursor.uleb();
        end = base + cursor.uleb();
        break;
      case LOCATION_LIST.startEnd:
        start = cursor.vaddr();
        end = cursor.vaddr();
        break;
      case LOCATION_LIST.startLength:
        start = cursor.vaddr();
        end = start + cursor.uleb();
        break;
      default:
        throw cursor.damaged(`a list of locations has an entry that is not known (${kind})`, offset);
    }
    const expression = take(cursor, cursor.uleb());
    if (vaddr >= start && vaddr < end) return expression;
  }
  throw cursor.damaged("a list of locations has no end");
}

function take(cursor: Cursor, length: number): FoundExpression {
  const at = cursor.offset;
  return { bytes: cursor.take(length), what: cursor.what, at, isExact: true };
}
