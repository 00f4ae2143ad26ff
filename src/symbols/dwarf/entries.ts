import { TargetError } from "../../base/errors.js";
import type { Vaddr } from "../vaddr.js";
import type { Abbreviation } from "./abbreviations.js";
import { Cursor, damage } from "./cursor.js";
import { ATTRIBUTE } from "./facts.js";
import { readValue, skipValue, type Value } from "./forms.js";
import type { DwarfSections } from "./sections.js";
import { type Unit, type UnitHeader, Units } from "./units.js";

/** An entry (DIE) of `.debug_info`: a type, a function, a variable, a scope. */
export interface Entry {
  readonly unit: UnitHeader;
  /** In `.debug_info`: what others refer to it by. */
  readonly offset: number;
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: ReadonlyMap<number, Value>;
  /** What follows it: its first child, if it has some. */
  readonly next: number;
}

/** Where a unit's own parts of other sections begin, and what its addresses are counted from. */
export interface UnitBases {
  readonly low: Vaddr;
  readonly strOffsets: number | undefined;
  readonly addresses: number | undefined;
  readonly rangeLists: number | undefined;
  readonly locationLists: number | undefined;
}

/** Longer chains from an entry to the one that describes it lead nowhere. */
const MOST_ORIGINS = 8;
const ADDRESS_SIZE = 8;
/** Bytes that nearly always hold a unit's own entry. */
const UNIT_BEGINNING = 4096;

/** Reads entries and what their attributes say. Whatever is damaged is a TargetError. */
export class Entries {
  readonly units: Units;
  private readonly bases = new Map<UnitHeader, UnitBases>();

  constructor(readonly sections: DwarfSections) {
    this.units = new Units(sections.get("info"), sections);
  }

  /** @throws TargetError no entry is there, or it is damaged */
  at(offset: number): Entry {
    const header = this.units.headerAt(offset);
    const entry = header && this.read(this.units.open(header), offset);
    if (entry === undefined)
      throw damage(this.units.info.what, offset, "something refers to it, and no entry is there");
    return entry;
  }

  /** The entry of the unit itself; undefined where it is empty. */
  ofUnit(header: UnitHeader): Entry | undefined {
    if (header.entries >= header.end) return undefined;
    // Who asks all units where their code is does not want all that is in them.
    const start = this.units.read(header, UNIT_BEGINNING);
    try {
      return this.read(start, header.entries);
    } catch (error) {
      if (!(error instanceof TargetError) || header.end - header.offset <= UNIT_BEGINNING) throw error;
      return this.read(this.units.open(header), header.entries);
    }
  }

  /** What is directly in an entry. */
  *children(parent: Entry): Generator<Entry, void, undefined> {
    if (!parent.hasChildren) return;
    for (let at = parent.next; ;) {
      // Opened for each: between two, another unit may have taken its place.
      const unit = this.units.open(parent.unit);
      const entry = this.read(unit, at);
      if (entry === undefined) return;
      yield entry;
      at = this.behind(entry);
    }
  }

  /** Where what stands beside an entry begins: behind all that is in it. */
  private behind(entry: Entry): number {
    if (!entry.hasChildren) return entry.next;
    const sibling = this.reference(entry, ATTRIBUTE.sibling);
    if (sibling !== undefined && sibling >= entry.next && sibling < entry.unit.end) return sibling;
    const cursor = cursorAt(this.units.open(entry.unit), this.units.info.what, entry.next);
    skipChildren(cursor, this.units.open(entry.unit));
    return cursor.offset;
  }

  /** @returns undefined for the null entry that ends a list of children */
  private read(unit: Unit, offset: number): Entry | undefined {
    const cursor = cursorAt(unit, this.units.info.what, offset);
    const abbreviation = abbreviationAt(cursor, unit);
    if (abbreviation === undefined) return undefined;
    const attributes = new Map<number, Value>();
    for (const shape of abbreviation.attributes)
      attributes.set(shape.name, readValue(cursor, shape, unit.header));
    const { tag, hasChildren } = abbreviation;
    return { unit: unit.header, offset, tag, hasChildren, attributes, next: cursor.offset };
  }

  basesOf(header: UnitHeader): UnitBases {
    const known = this.bases.get(header);
    if (known !== undefined) return known;
    const entry = this.ofUnit(header);
    const base = (name: number): number | undefined => entry && sectionOffset(entry.attributes.get(name));
    const found: UnitBases = {
      low: 0 as Vaddr,
      strOffsets: base(ATTRIBUTE.strOffsetsBase),
      addresses: base(ATTRIBUTE.addrBase),
      rangeLists: base(ATTRIBUTE.rnglistsBase),
      locationLists: base(ATTRIBUTE.loclistsBase),
    };
    this.bases.set(header, found);
    // May itself be a place in the unit's table of addresses.
    const low = entry && this.address(entry, ATTRIBUTE.lowPc);
    const whole = low === undefined ? found : { ...found, low };
    this.bases.set(header, whole);
    return whole;
  }

  /** A number that fits into one; undefined where the attribute is not there or is none. */
  number(entry: Entry, name: number): number | undefined {
    const value = this.constant(entry, name);
    return value === undefined ? undefined : Number(value);
  }

  constant({ attributes }: Entry, name: number): bigint | undefined {
    const value = attributes.get(name);
    return value?.kind === "constant" ? value.value : undefined;
  }

  flag({ attributes }: Entry, name: number): boolean {
    const value = attributes.get(name);
    return value?.kind === "flag" && value.value;
  }

  /** The offset of the entry that an attribute refers to. */
  reference({ attributes }: Entry, name: number): number | undefined {
    const value = attributes.get(name);
    if (value?.kind === "reference") return value.offset;
    if (value?.kind !== "signature") return undefined;
    const unit = this.units.withSignature(value.signature);
    return unit && unit.offset + unit.typeOffset;
  }

  text(entry: Entry, name: number): string | undefined {
    const value = entry.attributes.get(name);
    if (value?.kind === "text") return value.text;
    if (value?.kind === "text-at") return this.sections.get(value.section).text(value.offset);
    return value?.kind === "text-index" ? this.indexedText(entry.unit, value.index) : undefined;
  }

  private indexedText(unit: UnitHeader, index: number): string | undefined {
    const base = this.basesOf(unit).strOffsets;
    if (base === undefined) return undefined;
    const cursor = this.sections.get("str_offsets").cursor(base + index * (unit.wide ? 8 : 4));
    return this.sections.get("str").text(cursor.sectionOffset(unit.wide));
  }

  address(entry: Entry, name: number): Vaddr | undefined {
    const value = entry.attributes.get(name);
    if (value?.kind === "address") return value.vaddr;
    return value?.kind === "address-index" ? this.addressAt(entry.unit, value.index) : undefined;
  }

  /** An address out of a unit's table. @throws TargetError there is none */
  addressAt(unit: UnitHeader, index: number): Vaddr {
    const base = this.basesOf(unit).addresses;
    const section = this.sections.get("addr");
    if (base === undefined)
      throw damage(this.units.info.what, unit.offset, "the unit has no table of addresses");
    return section.cursor(base + ADDRESS_SIZE * index).vaddr();
  }

  /** An attribute's own, or that of the entry that describes it: its abstract instance, its declaration. */
  described(entry: Entry, name: number): Entry | undefined {
    let at = entry;
    for (let depth = 0; depth < MOST_ORIGINS; depth += 1) {
      if (at.attributes.has(name)) return at;
      const origin =
        this.reference(at, ATTRIBUTE.abstractOrigin) ?? this.reference(at, ATTRIBUTE.specification);
      if (origin === undefined) return undefined;
      at = this.at(origin);
    }
    return undefined;
  }

  /** `""` where it has none. */
  nameOf(entry: Entry): string {
    const holder = this.described(entry, ATTRIBUTE.name);
    return (holder && this.text(holder, ATTRIBUTE.name)) ?? "";
  }

  /** The offset of its type; undefined for void. */
  typeOf(entry: Entry): number | undefined {
    const holder = this.described(entry, ATTRIBUTE.type);
    return holder && this.reference(holder, ATTRIBUTE.type);
  }
}

/** An offset into another section; numbers were used for them before DWARF 4. */
export function sectionOffset(value: Value | undefined): number | undefined {
  if (value?.kind === "section-offset") return value.offset;
  return value?.kind === "constant" ? Number(value.value) : undefined;
}

export function cursorAt({ bytes, header }: Unit, what: string, offset: number): Cursor {
  return new Cursor(bytes, what, header.offset, offset - header.offset);
}

/** Reads the code in front of an entry. @returns undefined for a null entry, or the unit's end */
export function abbreviationAt(cursor: Cursor, unit: Unit): Abbreviation | undefined {
  if (cursor.isAtEnd) return undefined;
  const at = cursor.offset;
  const code = cursor.uleb();
  if (code === 0) return undefined;
  const found = unit.abbreviations.get(code);
  if (found === undefined)
    throw cursor.damaged(`an entry is of a kind that its unit does not have (${code})`, at);
  return found;
}

/** Passes all entries up to the null entry that ends them. Each takes a byte or more: it ends. */
export function skipChildren(cursor: Cursor, unit: Unit): void {
  for (let depth = 1; depth > 0;) {
    if (cursor.isAtEnd) return;
    const abbreviation = abbreviationAt(cursor, unit);
    if (abbreviation === undefined) {
      depth -= 1;
      continue;
    }
    for (const { form } of abbreviation.attributes) skipValue(cursor, form, unit.header);
    if (abbreviation.hasChildren) depth += 1;
  }
}
