import { type Abbreviations, readAbbreviations } from "./abbreviations.js";
import { Cursor } from "./cursor.js";
import { UNIT } from "./facts.js";
import type { DwarfSections, SectionBytes } from "./sections.js";

/** What stands in front of a unit's entries. DWARF 5, 7.5.1; DWARF 4, 7.5.1. */
export interface UnitHeader {
  /** In `.debug_info`, of the header. */
  readonly offset: number;
  /** Where the next unit begins. */
  readonly end: number;
  /** Where its first entry is. */
  readonly entries: number;
  readonly version: number;
  /** DWARF of 64 bits: offsets have 8 bytes. */
  readonly wide: boolean;
  readonly kind: number;
  readonly abbreviations: number;
  /** Of a unit of one type: what names it elsewhere, and where that type is. */
  readonly signature: bigint | undefined;
  readonly typeOffset: number;
}

/** Enough of a unit for its header. */
const HEADER_BYTES = 48;
const ADDRESS_SIZE = 8;
const WIDE = 0xffff_ffff;
const FIRST_RESERVED = 0xffff_fff0;

/** Headers of all units that we can read; those of versions that we do not know are passed by. */
function readHeaders(info: SectionBytes): UnitHeader[] {
  const headers: UnitHeader[] = [];
  const { size, what } = info;
  for (let offset = 0; offset < size;) {
    const bytes = info.slice(offset, Math.min(HEADER_BYTES, size - offset));
    const cursor = new Cursor(bytes, what, offset);
    const short = cursor.u32();
    const wide = short === WIDE;
    if (!wide && short >= FIRST_RESERVED) throw cursor.damaged("a unit has no length that is known", offset);
    const length = wide ? cursor.u64() : short;
    const end = cursor.offset + length;
    if (!(end <= size)) throw cursor.damaged("a unit goes past the end of the section", offset);
    const header = length < 2 ? undefined : readHeader(cursor, { offset, end, wide });
    if (header !== undefined) {
      if (header.entries > end) throw cursor.damaged("a unit is smaller than its header", offset);
      headers.push(header);
    }
    offset = end;
  }
  return headers;
}

function readHeader(
  cursor: Cursor,
  place: { readonly offset: number; readonly end: number; readonly wide: boolean },
): UnitHeader | undefined {
  const { wide } = place;
  const version = cursor.u16();
  if (version < 2 || version > 5) return undefined;
  let kind: number = UNIT.compile;
  let abbreviations: number;
  let addressSize: number;
  let signature: bigint | undefined;
  let typeOffset = 0;
  if (version < 5) {
    abbreviations = cursor.sectionOffset(wide);
    addressSize = cursor.u8();
  } else {
    kind = cursor.u8();
    addressSize = cursor.u8();
    abbreviations = cursor.sectionOffset(wide);
    if (kind === UNIT.skeleton || kind === UNIT.splitCompile) cursor.skip(8);
    if (kind === UNIT.type || kind === UNIT.splitType) {
      signature = cursor.big64();
      typeOffset = cursor.sectionOffset(wide);
    }
  }
  // Code of 16 and 32 bits, as a kernel has to begin with: nothing that could be probed.
  if (addressSize !== ADDRESS_SIZE) return undefined;
  return { ...place, entries: cursor.offset, version, kind, abbreviations, signature, typeOffset };
}

/** Units whose bytes are kept: references go from one to another now and then. */
const MOST_KEPT = 32;

/** A unit whose entries can be read. */
export interface Unit {
  readonly header: UnitHeader;
  /** From its header on. */
  readonly bytes: Buffer;
  readonly abbreviations: Abbreviations;
}

/** The units of `.debug_info`: headers of all, bytes of those that were used last. */
export class Units {
  readonly headers: readonly UnitHeader[];
  private readonly kept = new Map<UnitHeader, Unit>();
  private readonly tables = new Map<number, Abbreviations>();
  private signaturesKept: ReadonlyMap<bigint, UnitHeader> | undefined;

  constructor(
    readonly info: SectionBytes,
    readonly sections: DwarfSections,
  ) {
    this.headers = readHeaders(info);
  }

  /** The unit that an offset of `.debug_info` is in; undefined outside of all. */
  headerAt(offset: number): UnitHeader | undefined {
    const { headers } = this;
    let low = 0;
    let high = headers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((headers[middle]?.offset ?? Infinity) <= offset) low = middle + 1;
      else high = middle;
    }
    const found = headers[low - 1];
    return found !== undefined && offset >= found.entries && offset < found.end ? found : undefined;
  }

  withSignature(signature: bigint): UnitHeader | undefined {
    this.signaturesKept ??= new Map(
      this.headers.flatMap((header) =>
        header.signature === undefined ? [] : [[header.signature, header] as const],
      ),
    );
    return this.signaturesKept.get(signature);
  }

  /** @throws TargetError damaged */
  open(header: UnitHeader): Unit {
    const kept = this.kept.get(header);
    if (kept !== undefined) {
      // The one that was used last goes last.
      this.kept.delete(header);
      this.kept.set(header, kept);
      return kept;
    }
    const unit = this.read(header);
    this.kept.set(header, unit);
    if (this.kept.size > MOST_KEPT)
      for (const oldest of this.kept.keys()) {
        this.kept.delete(oldest);
        break;
      }
    return unit;
  }

  /**
   * As {@link open}, for one who passes all units: none is kept.
   *
   * @param most bytes from the beginning on, where that is enough
   */
  read(header: UnitHeader, most = Infinity): Unit {
    const bytes = this.info.slice(header.offset, Math.min(most, header.end - header.offset));
    return { header, bytes, abbreviations: this.abbreviationsAt(header.abbreviations) };
  }

  private abbreviationsAt(offset: number): Abbreviations {
    const known = this.tables.get(offset);
    if (known !== undefined) return known;
    const table = readAbbreviations(this.sections.get("abbrev").cursor(offset));
    this.tables.set(offset, table);
    return table;
  }
}
