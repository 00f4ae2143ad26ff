import type { Vaddr } from "../vaddr.js";
import type { Fields } from "./fields.js";

/** Pointer encodings: low four bits the form, then what it is relative to. LSB 5.0 core, 10.5.1 and 10.6. */
export const FORM = { absolute: 0, u16: 2, u32: 3, u64: 4, s16: 10, s32: 11, s64: 12 } as const;
const RELATIVE_TO = { nothing: 0, itself: 0x10, data: 0x30 } as const;
/** There is none. */
export const ABSENT = 0xff;

/**
 * @param base      vaddr of the first byte of `fields`
 * @param dataStart what pointers relative to data are relative to
 * @returns undefined where it is absent, cut off, or of a form that x86-64's tools do not write
 */
export function readPointer(
  fields: Fields,
  base: Vaddr,
  at: number,
  end: number,
  encoding: number,
  dataStart: Vaddr | undefined,
): { value: Vaddr; size: number } | undefined {
  if (encoding === ABSENT) return undefined;
  const form = encoding & 15;
  const size = sizeOfForm(form);
  if (size === undefined || at + size > end) return undefined;
  const raw = readForm(fields, at, form);
  switch (encoding & 0x70) {
    case RELATIVE_TO.nothing:
      return { value: raw as Vaddr, size };
    case RELATIVE_TO.itself:
      return { value: (base + at + raw) as Vaddr, size };
    case RELATIVE_TO.data:
      return dataStart === undefined ? undefined : { value: (dataStart + raw) as Vaddr, size };
    default:
      return undefined;
  }
}

export function sizeOfForm(form: number): number | undefined {
  switch (form) {
    case FORM.u16:
    case FORM.s16:
      return 2;
    case FORM.u32:
    case FORM.s32:
      return 4;
    case FORM.absolute:
    case FORM.u64:
    case FORM.s64:
      return 8;
    default:
      return undefined;
  }
}

export function readForm(fields: Fields, at: number, form: number): number {
  switch (form) {
    case FORM.u16:
      return fields.u16(at);
    case FORM.s16:
      return (fields.u16(at) << 16) >> 16;
    case FORM.u32:
      return fields.u32(at);
    case FORM.s32:
      return fields.i32(at);
    default:
      return fields.i64(at);
  }
}
