import { TargetError } from "../../base/errors.js";
import { BTF_HEADER_SIZE, BTF_MAGIC, BTF_TYPE_SIZE, KIND_SIZES } from "./facts.js";

const MAX_NAME = 4096;

/**
 * Types of BTF by their number, undecoded: where each stands, its kind, its words, its name. Those of a
 * module (split BTF) number on behind the kernel's, and their names lie behind the kernel's names.
 */
export class BtfTable {
  /** Numbers go from `first` up to, not including, `end`; 0 is void, everywhere. */
  readonly first: number;
  readonly end: number;
  private readonly view: DataView;
  private readonly strings: Buffer;
  /** Where strings of its own begin, as offsets of names count them. */
  private readonly stringsFirst: number;
  private readonly offsets: Uint32Array;

  /**
   * @param what names the piece in sentences: `vmlinux, .BTF`
   * @param base of split BTF: that of the kernel
   * @throws TargetError no BTF, or damaged
   */
  constructor(
    bytes: Uint8Array,
    readonly what: string,
    readonly base?: BtfTable,
  ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const damaged = (how: string): TargetError => new TargetError(`${what} is damaged: ${how}`);
    if (view.byteLength < BTF_HEADER_SIZE || view.getUint16(0, true) !== BTF_MAGIC)
      throw new TargetError(`${what} has no type information that is known (BTF)`);
    const headerSize = view.getUint32(4, true);
    const types = headerSize + view.getUint32(8, true);
    const typesEnd = types + view.getUint32(12, true);
    const strings = headerSize + view.getUint32(16, true);
    const stringsEnd = strings + view.getUint32(20, true);
    if (headerSize < BTF_HEADER_SIZE || typesEnd > view.byteLength || stringsEnd > view.byteLength)
      throw damaged("its types or their names go past its end");
    this.strings = Buffer.from(bytes.buffer, bytes.byteOffset + strings, stringsEnd - strings);
    this.view = view;
    this.first = base?.end ?? 1;
    this.stringsFirst = base?.stringsEnd ?? 0;
    this.offsets = placesOf(view, types, typesEnd, damaged);
    this.end = this.first + this.offsets.length;
  }

  /** Where those of a module go on. */
  get stringsEnd(): number {
    return this.stringsFirst + this.strings.length;
  }

  /** Whether a number is that of a type, void or one of the base's included. */
  has(id: number): boolean {
    return id >= 0 && id < this.end;
  }

  /** `KIND`; that of void where there is no such type. */
  kind(id: number): number {
    if (id < this.first) return this.base?.kind(id) ?? 0;
    const at = this.offsets[id - this.first];
    return at === undefined ? 0 : (this.view.getUint32(at + 4, true) >>> 24) & 0x1f;
  }

  /** `kind_flag`: of what is counted, each has bit fields' form; an enum is signed; a forward is a union's. */
  flag(id: number): boolean {
    return (this.word(id, 1) & 0x8000_0000) !== 0;
  }

  /** Members, values, parameters. */
  count(id: number): number {
    return this.word(id, 1) & 0xffff;
  }

  /** Size, or the type that it refers to. */
  sizeOrType(id: number): number {
    return this.word(id, 2);
  }

  name(id: number): string {
    return this.string(this.word(id, 0));
  }

  /** A word of a type, counted from its beginning; 0 where there is none. */
  word(id: number, index: number): number {
    if (id < this.first) return this.base?.word(id, index) ?? 0;
    const at = this.offsets[id - this.first];
    if (at === undefined || at + 4 * index + 4 > this.view.byteLength) return 0;
    return this.view.getUint32(at + 4 * index, true);
  }

  /** A name by its offset; `""` where there is none. */
  string(offset: number): string {
    if (offset < this.stringsFirst) return this.base?.string(offset) ?? "";
    const at = offset - this.stringsFirst;
    if (at >= this.strings.length) return "";
    const end = this.strings.indexOf(0, at);
    return this.strings.toString("utf8", at, Math.min(end < 0 ? this.strings.length : end, at + MAX_NAME));
  }
}

/** Where each type begins. */
function placesOf(
  view: DataView,
  start: number,
  end: number,
  damaged: (how: string) => TargetError,
): Uint32Array {
  const offsets = new Uint32Array(Math.floor((end - start) / BTF_TYPE_SIZE));
  let count = 0;
  let at = start;
  while (at + BTF_TYPE_SIZE <= end) {
    const info = view.getUint32(at + 4, true);
    const sizes = KIND_SIZES[(info >>> 24) & 0x1f];
    if (sizes === undefined)
      throw damaged(`type ${count + 1} is of a kind that is not known (${(info >>> 24) & 0x1f})`);
    offsets[count] = at;
    count += 1;
    at += BTF_TYPE_SIZE + sizes[0] + sizes[1] * (info & 0xffff);
  }
  if (at !== end) throw damaged("its last type goes past the end of its types");
  return offsets.slice(0, count);
}
