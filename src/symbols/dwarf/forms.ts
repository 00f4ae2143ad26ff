import type { Vaddr } from "../vaddr.js";
import type { AttributeShape } from "./abbreviations.js";
import type { Cursor } from "./cursor.js";
import { FORM } from "./facts.js";
import type { UnitHeader } from "./units.js";

/** The value of an attribute, as it stands there: what names another section is looked up later. */
export type Value =
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "address"; readonly vaddr: Vaddr }
  /** A place in `.debug_addr`, counted from the unit's own part. */
  | { readonly kind: "address-index"; readonly index: number }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "text-at"; readonly section: "str" | "line_str"; readonly offset: number }
  | { readonly kind: "text-index"; readonly index: number }
  /** To an entry, by its offset in `.debug_info`. */
  | { readonly kind: "reference"; readonly offset: number }
  | { readonly kind: "signature"; readonly signature: bigint }
  /** An expression, or bytes of a constant. */
  | { readonly kind: "block"; readonly bytes: Buffer; readonly offset: number }
  | { readonly kind: "flag"; readonly value: boolean }
  /** Into the section that the attribute is about. */
  | { readonly kind: "section-offset"; readonly offset: number }
  /** A place in the unit's table of lists. */
  | { readonly kind: "list-index"; readonly index: number }
  /** In another file, which we do not read. */
  | { readonly kind: "elsewhere" };

const ELSEWHERE: Value = { kind: "elsewhere" };
const TRUE: Value = { kind: "flag", value: true };

/** Reads the value of an attribute. DWARF 5, 7.5.6. @throws TargetError damaged */
export function readValue(cursor: Cursor, { form, constant }: AttributeShape, unit: UnitHeader): Value {
  switch (form) {
    case FORM.implicitConst:
      return { kind: "constant", value: constant };
    case FORM.indirect: {
      const actual = cursor.uleb();
      if (actual === FORM.indirect || actual === FORM.implicitConst)
        throw cursor.damaged("the form of an attribute leads to itself");
      return readValue(cursor, { name: 0, form: actual, constant: 0n }, unit);
    }
    case FORM.addr:
      return { kind: "address", vaddr: cursor.vaddr() };
    case FORM.data1:
      return { kind: "constant", value: BigInt(cursor.u8()) };
    case FORM.data2:
      return { kind: "constant", value: BigInt(cursor.u16()) };
    case FORM.data4:
      return dataOrOffset(BigInt(cursor.u32()));
    case FORM.data8:
      return dataOrOffset(cursor.big64());
    case FORM.data16:
      return block(cursor, 16);
    case FORM.sdata:
      return { kind: "constant", value: cursor.bigSleb() };
    case FORM.udata:
      return { kind: "constant", value: cursor.bigUleb() };
    case FORM.flag:
      return { kind: "flag", value: cursor.u8() !== 0 };
    case FORM.flagPresent:
      return TRUE;
    case FORM.block1:
      return block(cursor, cursor.u8());
    case FORM.block2:
      return block(cursor, cursor.u16());
    case FORM.block4:
      return block(cursor, cursor.u32());
    case FORM.block:
    case FORM.exprloc:
      return block(cursor, cursor.uleb());
    case FORM.secOffset:
      return { kind: "section-offset", offset: cursor.sectionOffset(unit.wide) };
    case FORM.loclistx:
    case FORM.rnglistx:
      return { kind: "list-index", index: cursor.uleb() };
    default:
      return readText(cursor, form, unit) ?? readReference(cursor, form, unit);
  }
}

/** Before DWARF 4, offsets into sections looked as numbers do: whoever expects one takes it for one. */
function dataOrOffset(value: bigint): Value {
  return { kind: "constant", value };
}

function block(cursor: Cursor, length: number): Value {
  const { offset } = cursor;
  return { kind: "block", bytes: cursor.take(length), offset };
}

function readText(cursor: Cursor, form: number, unit: UnitHeader): Value | undefined {
  switch (form) {
    case FORM.string:
      return { kind: "text", text: cursor.text() };
    case FORM.strp:
      return { kind: "text-at", section: "str", offset: cursor.sectionOffset(unit.wide) };
    case FORM.lineStrp:
      return { kind: "text-at", section: "line_str", offset: cursor.sectionOffset(unit.wide) };
    case FORM.strx:
      return { kind: "text-index", index: cursor.uleb() };
    case FORM.strx1:
      return { kind: "text-index", index: cursor.u8() };
    case FORM.strx2:
      return { kind: "text-index", index: cursor.u16() };
    case FORM.strx3:
      return { kind: "text-index", index: cursor.u24() };
    case FORM.strx4:
      return { kind: "text-index", index: cursor.u32() };
    case FORM.strpSup:
    case FORM.gnuStrpAlt:
      cursor.sectionOffset(unit.wide);
      return ELSEWHERE;
    default:
      return undefined;
  }
}

function readReference(cursor: Cursor, form: number, unit: UnitHeader): Value {
  const own = (offset: number): Value => ({ kind: "reference", offset: unit.offset + offset });
  switch (form) {
    case FORM.ref1:
      return own(cursor.u8());
    case FORM.ref2:
      return own(cursor.u16());
    case FORM.ref4:
      return own(cursor.u32());
    case FORM.ref8:
      return own(cursor.u64());
    case FORM.refUdata:
      return own(cursor.uleb());
    case FORM.refAddr:
      // As wide as an address in DWARF 2.
      return { kind: "reference", offset: cursor.sectionOffset(unit.wide || unit.version === 2) };
    case FORM.refSig8:
      return { kind: "signature", signature: cursor.big64() };
    case FORM.addrx:
      return { kind: "address-index", index: cursor.uleb() };
    case FORM.addrx1:
      return { kind: "address-index", index: cursor.u8() };
    case FORM.addrx2:
      return { kind: "address-index", index: cursor.u16() };
    case FORM.addrx3:
      return { kind: "address-index", index: cursor.u24() };
    case FORM.addrx4:
      return { kind: "address-index", index: cursor.u32() };
    case FORM.refSup4:
      cursor.skip(4);
      return ELSEWHERE;
    case FORM.refSup8:
      cursor.skip(8);
      return ELSEWHERE;
    case FORM.gnuRefAlt:
      cursor.sectionOffset(unit.wide);
      return ELSEWHERE;
    default:
      throw cursor.damaged(`an attribute has a form that is not known (0x${form.toString(16)})`);
  }
}

/** Passes the value of an attribute by, without making anything of it. @throws TargetError damaged */
export function skipValue(cursor: Cursor, form: number, unit: UnitHeader): void {
  switch (form) {
    case FORM.implicitConst:
    case FORM.flagPresent:
      return;
    case FORM.data1:
    case FORM.flag:
    case FORM.ref1:
    case FORM.strx1:
    case FORM.addrx1:
      cursor.skip(1);
      return;
    case FORM.data2:
    case FORM.ref2:
    case FORM.strx2:
    case FORM.addrx2:
      cursor.skip(2);
      return;
    case FORM.data4:
    case FORM.ref4:
      cursor.skip(4);
      return;
    case FORM.addr:
    case FORM.data8:
    case FORM.ref8:
      cursor.skip(8);
      return;
    case FORM.strp:
    case FORM.lineStrp:
    case FORM.secOffset:
      cursor.skip(unit.wide ? 8 : 4);
      return;
    case FORM.udata:
    case FORM.sdata:
    case FORM.refUdata:
    case FORM.strx:
    case FORM.addrx:
    case FORM.loclistx:
    case FORM.rnglistx:
      cursor.skipLeb();
      return;
    case FORM.exprloc:
    case FORM.block:
      cursor.skip(cursor.uleb());
      return;
    case FORM.block1:
      cursor.skip(cursor.u8());
      return;
    case FORM.string:
      cursor.skipText();
      return;
    default:
      readValue(cursor, { name: 0, form, constant: 0n }, unit);
  }
}
