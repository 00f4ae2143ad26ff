import type { Vaddr } from "../vaddr.js";
import { SECTION_INDEX, SYMBOL_SIZE, SYMBOL_TYPE } from "./facts.js";
import { type Fields, sizeIn, vaddrIn } from "./fields.js";

export type SymbolType =
  "notype" | "object" | "func" | "section" | "file" | "common" | "tls" | "ifunc" | "other";
export type SymbolBinding = "local" | "global" | "weak";

/** Where a symbol was read: the image's own tables, or the `.symtab` of its separate debug file. */
export type SymbolOrigin = "symtab" | "dynsym" | "debug-file";

export interface ElfSymbol {
  /** Without a version: `memcpy` for `memcpy@@GLIBC_2.14`. */
  readonly name: string;
  /** `st_value`; an offset in the thread-local block where `type` is `tls`. */
  readonly vaddr: Vaddr;
  /** Bytes; 0 where the symbol does not say. */
  readonly size: number;
  readonly type: SymbolType;
  readonly binding: SymbolBinding;
  /** Defined in this image and no mere number (SHN_UNDEF, SHN_ABS and SHN_COMMON are not). */
  readonly placed: boolean;
  readonly origin: SymbolOrigin;
  /** Position in its table: what relocations name. */
  readonly index: number;
}

const TYPES: Readonly<Record<number, SymbolType>> = {
  [SYMBOL_TYPE.notype]: "notype",
  [SYMBOL_TYPE.object]: "object",
  [SYMBOL_TYPE.func]: "func",
  [SYMBOL_TYPE.section]: "section",
  [SYMBOL_TYPE.file]: "file",
  [SYMBOL_TYPE.common]: "common",
  [SYMBOL_TYPE.tls]: "tls",
  [SYMBOL_TYPE.ifunc]: "ifunc",
};

const AT_SIGN = 0x40;

/**
 * One table of symbols over the bytes of the file: nothing is decoded before it is asked for,
 * since a large program has hundreds of thousands. Indices are 0 … `count` - 1, unchecked.
 */
export class SymbolTable {
  readonly count: number;
  private readonly view: DataView;

  constructor(
    symbols: Fields,
    private readonly strings: Fields,
    readonly origin: SymbolOrigin,
  ) {
    this.view = symbols.view;
    this.count = Math.floor(symbols.length / SYMBOL_SIZE);
  }

  /** Bytes of its string table. */
  get namesSize(): number {
    return this.strings.length;
  }

  vaddr(index: number): Vaddr {
    return vaddrIn(this.view, index * SYMBOL_SIZE + 8);
  }

  size(index: number): number {
    return sizeIn(this.view, index * SYMBOL_SIZE + 16);
  }

  /** `STT_*`. */
  type(index: number): number {
    return this.view.getUint8(index * SYMBOL_SIZE + 4) & 15;
  }

  binding(index: number): SymbolBinding {
    const number = this.view.getUint8(index * SYMBOL_SIZE + 4) >>> 4;
    // STB_GNU_UNIQUE (10) is a global that the dynamic linker makes unique.
    return number === 0 ? "local" : number === 2 ? "weak" : "global";
  }

  placed(index: number): boolean {
    const section = this.view.getUint16(index * SYMBOL_SIZE + 6, true);
    return (
      section !== SECTION_INDEX.undefined &&
      (section < SECTION_INDEX.reserved || section === SECTION_INDEX.extended)
    );
  }

  named(index: number): boolean {
    return this.view.getUint32(index * SYMBOL_SIZE, true) !== 0;
  }

  name(index: number): string {
    const name = this.strings.string(this.view.getUint32(index * SYMBOL_SIZE, true));
    // `.symtab` has versions in its names, `.dynsym` in a table of their own. A leading `@` is no version.
    const version = name.indexOf("@", 1);
    return version < 0 ? name : name.slice(0, version);
  }

  /** Compares without decoding. @param wanted UTF-8, no NUL */
  nameEquals(index: number, wanted: Uint8Array): boolean {
    const at = this.view.getUint32(index * SYMBOL_SIZE, true);
    const bytes = this.strings.bytes;
    for (let i = 0; i < wanted.length; i += 1) {
      if (bytes[at + i] !== wanted[i]) return false;
    }
    const after = bytes[at + wanted.length];
    return after === 0 || after === undefined || (after === AT_SIGN && wanted.length > 0);
  }

  symbol(index: number): ElfSymbol {
    return {
      name: this.name(index),
      vaddr: this.vaddr(index),
      size: this.size(index),
      type: TYPES[this.type(index)] ?? "other",
      binding: this.binding(index),
      placed: this.placed(index),
      origin: this.origin,
      index,
    };
  }
}

/**
 * Number of symbols in DT_SYMTAB, which states none itself: from DT_HASH.
 *
 * @param hash bytes from DT_HASH on
 */
export function countByHash(hash: Fields): number {
  return hash.u32(4);
}

/**
 * Number of symbols in DT_SYMTAB from DT_GNU_HASH: the end of the chain that starts last.
 *
 * @param hash bytes from DT_GNU_HASH on
 */
export function countByGnuHash(hash: Fields): number {
  const bucketCount = hash.u32(0);
  const firstHashed = hash.u32(4);
  const buckets = 16 + 8 * hash.u32(8);
  let last = 0;
  // A damaged count fails at the end of the piece, not after four thousand million rounds.
  for (let bucket = 0; bucket < bucketCount; bucket += 1)
    last = Math.max(last, hash.u32(buckets + 4 * bucket));
  if (last < firstHashed) return firstHashed;
  const chains = buckets + 4 * bucketCount;
  while ((hash.u32(chains + 4 * (last - firstHashed)) & 1) === 0) last += 1;
  return last + 1;
}
