import type { Cursor } from "./cursor.js";
import { FORM } from "./facts.js";

/** What entries of one kind look like. DWARF 5, 7.5.3. */
export interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly AttributeShape[];
}

export interface AttributeShape {
  readonly name: number;
  readonly form: number;
  /** The value itself, of `DW_FORM_implicit_const`. */
  readonly constant: bigint;
}

/** Abbreviations of a unit by their codes: nearly always numbers from 1 on. */
export type Abbreviations = ReadonlyMap<number, Abbreviation>;

/** @throws TargetError damaged */
export function readAbbreviations(cursor: Cursor): Abbreviations {
  const table = new Map<number, Abbreviation>();
  for (;;) {
    const at = cursor.offset;
    const code = cursor.uleb();
    if (code === 0) return table;
    const tag = cursor.uleb();
    const hasChildren = cursor.u8() !== 0;
    const attributes: AttributeShape[] = [];
    for (;;) {
      const name = cursor.uleb();
      const form = cursor.uleb();
      if (name === 0 && form === 0) break;
      attributes.push({ name, form, constant: form === FORM.implicitConst ? cursor.bigSleb() : 0n });
    }
    if (table.has(code)) throw cursor.damaged(`abbreviation ${code} is there twice`, at);
    table.set(code, { tag, hasChildren, attributes });
  }
}
