import { ASSEMBLER, ATTRIBUTE, FORM, TAG, UNIT } from "./facts.js";
import { abbreviationAt, cursorAt, type Entries, skipChildren } from "./entries.js";
import { readValue, skipValue, type Value } from "./forms.js";
import type { Cursor } from "./cursor.js";
import type { Abbreviation } from "./abbreviations.js";
import type { Unit } from "./units.js";

/** What is looked up by a name. */
export type NamedKind = "struct" | "union" | "enum" | "alias" | "integer" | "function" | "variable";

const KINDS: Readonly<Record<number, NamedKind>> = {
  [TAG.structureType]: "struct",
  [TAG.classType]: "struct",
  [TAG.unionType]: "union",
  [TAG.enumerationType]: "enum",
  [TAG.typedef]: "alias",
  [TAG.baseType]: "integer",
  [TAG.subprogram]: "function",
  [TAG.variable]: "variable",
};

/** Offsets of entries by their names. */
class Names {
  readonly whole = new Map<string, number>();
  /** Declarations only: of what no unit defines. */
  readonly declared = new Map<string, number>();
  /** Offsets of names in `.debug_str` of which we have the whole: linkers keep each once. */
  readonly known = new Set<number>();
  readonly knownDeclared = new Set<number>();
}

/**
 * The names of all that stands at the top of units: types, functions, variables. Made in one pass over
 * `.debug_info`, which takes about a second for each 60 MB; of each name the first definition counts, for
 * units repeat those of the headers that they share.
 */
export class NameIndex {
  private readonly kinds: Readonly<Record<NamedKind, Names>> = {
    struct: new Names(),
    union: new Names(),
    enum: new Names(),
    alias: new Names(),
    integer: new Names(),
    function: new Names(),
    variable: new Names(),
  };

  /** @throws TargetError damaged */
  constructor(private readonly entries: Entries) {
    const { units } = entries;
    for (const header of units.headers) {
      if (header.kind === UNIT.splitCompile || header.kind === UNIT.splitType) continue;
      if (header.entries >= header.end) continue;
      const unit = units.read(header);
      const cursor = cursorAt(unit, units.info.what, header.entries);
      const top = abbreviationAt(cursor, unit);
      if (top === undefined) continue;
      let isAssembler = false;
      for (const shape of top.attributes) {
        const value = readValue(cursor, shape, header);
        if (shape.name === ATTRIBUTE.language && value.kind === "constant")
          isAssembler = value.value === BigInt(ASSEMBLER);
      }
      if (top.hasChildren && !isAssembler) this.enterAll(cursor, unit);
    }
  }

  /** @returns the offset of its definition, or of a declaration where there is none */
  find(kind: NamedKind, name: string): number | undefined {
    const names = this.kinds[kind];
    return names.whole.get(name) ?? names.declared.get(name);
  }

  private enterAll(cursor: Cursor, unit: Unit): void {
    while (!cursor.isAtEnd) {
      const { offset } = cursor;
      const abbreviation = abbreviationAt(cursor, unit);
      if (abbreviation === undefined) return;
      const sibling = this.enter(cursor, abbreviation, unit, offset);
      if (!abbreviation.hasChildren) continue;
      // A sibling that leads back would have no end.
      if (sibling !== undefined && sibling >= cursor.offset && sibling < unit.header.end)
        cursor.at = sibling - unit.header.offset;
      else skipChildren(cursor, unit);
    }
  }

  /** @returns where its sibling is */
  private enter(
    cursor: Cursor,
    { tag, attributes }: Abbreviation,
    unit: Unit,
    offset: number,
  ): number | undefined {
    const kind = KINDS[tag];
    let sibling: number | undefined;
    let name: Value | undefined;
    let nameOffset: number | undefined;
    let origin: number | undefined;
    let isDeclared = false;
    let isPlaced = false;
    for (const shape of attributes) {
      switch (shape.name) {
        case ATTRIBUTE.name:
          if (kind === undefined) skipValue(cursor, shape.form, unit.header);
          else if (shape.form === FORM.strp && !unit.header.wide) nameOffset = cursor.u32();
          else name = readValue(cursor, shape, unit.header);
          break;
        case ATTRIBUTE.sibling:
          if (shape.form === FORM.ref4) sibling = unit.header.offset + cursor.u32();
          else {
            const value = readValue(cursor, shape, unit.header);
            if (value.kind === "reference") sibling = value.offset;
          }
          break;
        case ATTRIBUTE.declaration:
          isDeclared = true;
          skipValue(cursor, shape.form, unit.header);
          break;
        case ATTRIBUTE.specification:
        case ATTRIBUTE.abstractOrigin: {
          const value = readValue(cursor, shape, unit.header);
          if (value.kind === "reference") origin = value.offset;
          break;
        }
        case ATTRIBUTE.location:
        case ATTRIBUTE.constValue:
        case ATTRIBUTE.lowPc:
        case ATTRIBUTE.ranges:
          isPlaced = true;
          skipValue(cursor, shape.form, unit.header);
          break;
        default:
          skipValue(cursor, shape.form, unit.header);
      }
    }
    if (kind === undefined) return sibling;
    const isCodeOrData = kind === "function" || kind === "variable";
    const isWhole = isCodeOrData ? isPlaced : !isDeclared;
    this.enterName(kind, isWhole, offset, { nameOffset, name, origin, unit });
    return sibling;
  }

  private enterName(
    kind: NamedKind,
    isWhole: boolean,
    offset: number,
    of: {
      readonly nameOffset: number | undefined;
      readonly name: Value | undefined;
      readonly origin: number | undefined;
      readonly unit: Unit;
    },
  ): void {
    const names = this.kinds[kind];
    const { nameOffset } = of;
    if (nameOffset !== undefined) {
      const known = isWhole ? names.known : names.knownDeclared;
      if (known.has(nameOffset)) return;
      known.add(nameOffset);
    }
    const text =
      nameOffset !== undefined
        ? this.entries.sections.get("str").text(nameOffset)
        : this.textOf(of.name, of.origin, offset);
    if (text === undefined || text === "") return;
    const map = isWhole ? names.whole : names.declared;
    if (!map.has(text)) map.set(text, offset);
  }

  /** The name of one whose name is somewhere else. */
  private textOf(name: Value | undefined, origin: number | undefined, offset: number): string | undefined {
    if (name?.kind === "text") return name.text;
    if (name === undefined && origin === undefined) return undefined;
    return this.entries.nameOf(this.entries.at(offset));
  }
}
