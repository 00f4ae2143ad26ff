import { readCString, u16, u32, u64 } from "./raw-fields.js";

/** A field of a file. */
export interface Place {
  readonly at: number;
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number;
}

/** Fields of one structure, or of many alike: what one choice is made among. */
export interface PlaceGroup {
  readonly name: string;
  readonly places: readonly Place[];
}

const HEADER_FIELDS = [
  [4, 1], [5, 1], [6, 1], [7, 1], [16, 2], [18, 2], [20, 4], [24, 8], [32, 8], [40, 8], [48, 4], [52, 2], [54, 2],
  [56, 2], [58, 2], [60, 2], [62, 2],
] as const; // prettier-ignore
const PROGRAM_HEADER_FIELDS = [[0, 4], [4, 4], [8, 8], [16, 8], [24, 8], [32, 8], [40, 8], [48, 8]] as const; // prettier-ignore
const SECTION_HEADER_FIELDS = [[0, 4], [4, 4], [8, 8], [16, 8], [24, 8], [32, 8], [40, 4], [44, 4], [48, 8], [56, 8]] as const; // prettier-ignore
const SYMBOL_FIELDS = [[0, 4], [4, 1], [5, 1], [6, 2], [8, 8], [16, 8]] as const; // prettier-ignore
const RELA_FIELDS = [[0, 8], [8, 4], [12, 4], [16, 8]] as const; // prettier-ignore
const DYNAMIC_FIELDS = [[0, 8], [8, 8]] as const; // prettier-ignore
const NOTE_FIELDS = [[0, 4], [4, 4], [8, 4], [12, 4]] as const; // prettier-ignore
const WORDS = [[0, 4]] as const;
const LONGS = [[0, 8]] as const;
const BYTES = [[0, 1]] as const;

type Fields = readonly (readonly [number, number])[];

/** How the contents of a section are laid out, by `sh_type`. gABI, "Sections". */
const BY_TYPE: ReadonlyMap<number, { readonly fields: Fields; readonly step: number }> = new Map([
  [2, { fields: SYMBOL_FIELDS, step: 24 }],
  [4, { fields: RELA_FIELDS, step: 24 }],
  [5, { fields: WORDS, step: 4 }],
  [6, { fields: DYNAMIC_FIELDS, step: 16 }],
  [7, { fields: NOTE_FIELDS, step: 16 }],
  [11, { fields: SYMBOL_FIELDS, step: 24 }],
  [0x6ffffff6, { fields: WORDS, step: 4 }],
]);

/** As much of a table as is worth changing: its first entries and its last. */
const MOST_ENTRIES = 96;

/**
 * The fields of a whole ELF file of 64 bits; of anything else, its first bytes. Written apart from
 * the reader that it tests.
 */
export function placesOf(bytes: Buffer): readonly PlaceGroup[] {
  const groups: PlaceGroup[] = [];
  const table = (name: string, at: number, length: number, fields: Fields, step: number): void => {
    const count = Math.floor(length / step);
    const places: Place[] = [];
    for (let index = 0; index < count; index += 1) {
      if (index >= MOST_ENTRIES && index < count - 4) continue;
      for (const [offset, size] of fields) {
        const field = at + index * step + offset;
        if (field + size <= bytes.length) places.push({ at: field, size });
      }
    }
    if (places.length > 0) groups.push({ name, places });
  };
  table("start", 0, Math.min(bytes.length, 64), BYTES, 1);
  const isElf =
    bytes.length >= 64 && bytes.readUInt32BE(0) === 0x7f454c46 && bytes[4] === 2 && bytes[5] === 1;
  if (!isElf) return groups.length > 0 ? groups : [{ name: "nothing", places: [{ at: 0, size: 1 }] }];
  table("header", 0, 64, HEADER_FIELDS, 64);
  table("program headers", u64(bytes, 32), 56 * u16(bytes, 56), PROGRAM_HEADER_FIELDS, 56);
  const headers = u64(bytes, 40);
  const count = headers === 0 ? 0 : u16(bytes, 60);
  table("section headers", headers, 64 * count, SECTION_HEADER_FIELDS, 64);
  const names = u64(bytes, headers + 64 * u16(bytes, 62) + 24);
  for (let index = 1; index < count; index += 1) {
    const header = headers + 64 * index;
    const type = u32(bytes, header + 4);
    if (type === 8) continue;
    const at = u64(bytes, header + 24);
    const length = u64(bytes, header + 32);
    const name = readCString(bytes, names + u32(bytes, header));
    const known = BY_TYPE.get(type);
    if (known !== undefined) table(name, at, length, known.fields, known.step);
    else if (name === ".eh_frame") framePlaces(bytes, at, length, groups);
    else if (name.startsWith("__rseq_cs")) table(name, at, length, LONGS, 8);
    else if (/^\.(gnu_debuglink|eh_frame_hdr|interp|dynstr|strtab|shstrtab|i?plt)/.test(name))
      table(name, at, length, BYTES, 1);
  }
  return groups;
}

/** Lengths, distances to CIEs, and the bytes behind them. LSB 5.0 core, 10.6. */
function framePlaces(bytes: Buffer, at: number, length: number, groups: PlaceGroup[]): void {
  const words: Place[] = [];
  const rest: Place[] = [];
  for (let entry = at, seen = 0; entry + 8 <= at + length && seen < MOST_ENTRIES; seen += 1) {
    words.push({ at: entry, size: 4 }, { at: entry + 4, size: 4 });
    for (let byte = entry + 8; byte < Math.min(entry + 32, at + length); byte += 1)
      rest.push({ at: byte, size: 1 });
    const size = u32(bytes, entry);
    if (size === 0) break;
    entry += 4 + size;
  }
  if (words.length > 0) groups.push({ name: ".eh_frame entries", places: words });
  if (rest.length > 0) groups.push({ name: ".eh_frame contents", places: rest });
}
