export interface MadeSymbol {
  readonly name: string;
  readonly vaddr: number;
  readonly type: string;
}

/** Where parts of the tables stand: up to Linux 6.3 the offsets come first, since 6.4 last. */
export interface KallsymsLayout {
  readonly offsets: "before" | "behind";
  /** Where the order of the names stands: nowhere (to 6.1), behind the markers (6.2), at the end (6.4). */
  readonly sequence: "none" | "markers" | "end";
  /** CONFIG_KALLSYMS_ABSOLUTE_PERCPU. */
  readonly perCpu: boolean;
  /** Whether each offset counts from its own place, since 7.0, and there is no base. */
  readonly fromThemselves?: boolean;
}

/** Pieces of names that get a token of their own; all other characters stand for themselves. */
const PIECES = ["made_", "__st", "art_", "name_", "text", "Tm", "tmade_1"];

/** The tables as the kernel's build lays them out, by what scripts/kallsyms.c is known to write. */
export function kallsyms(
  symbols: readonly MadeSymbol[],
  base: number,
  layout: KallsymsLayout,
  vaddr: number,
): Buffer {
  // As addresses without a sign: small numbers first.
  const sorted = [...symbols].sort((one, other) => unsigned(one.vaddr) - unsigned(other.vaddr));
  const tokens = Array.from({ length: 256 }, (_, byte) =>
    byte >= 128 ? (PIECES[byte - 128] ?? "") : byte < 32 ? "" : String.fromCharCode(byte),
  );
  const offsets = Buffer.alloc(4 * sorted.length);
  sorted.forEach(({ vaddr }, index) => {
    if (!layout.perCpu) offsets.writeUInt32LE(vaddr - base, 4 * index);
    else offsets.writeInt32LE(vaddr >= 0 ? vaddr : base - 1 - vaddr, 4 * index);
  });
  const names: Buffer[] = [];
  const markers: number[] = [];
  let size = 0;
  sorted.forEach(({ name, type }, index) => {
    if (index % 256 === 0) markers.push(size);
    const packed = packName(`${type}${name}`);
    const length =
      packed.length < 128 ? [packed.length] : [(packed.length & 0x7f) | 0x80, packed.length >> 7];
    names.push(Buffer.from([...length, ...packed]));
    size += length.length + packed.length;
  });
  const relativeBase = Buffer.alloc(8);
  relativeBase.writeBigInt64LE(BigInt(base));
  const count = words([sorted.length]);
  const sequence = Buffer.alloc(3 * sorted.length, 1);
  const index: number[] = [];
  let table = "";
  for (const token of tokens) {
    index.push(table.length);
    table += `${token}\0`;
  }
  const tokenIndex = Buffer.alloc(512);
  index.forEach((offset, token) => tokenIndex.writeUInt16LE(offset, 2 * token));
  const parts = [
    Buffer.from("something else before\0"),
    ...(layout.offsets === "before" ? [offsets, relativeBase] : []),
    count,
    Buffer.concat(names),
    words(markers),
    ...(layout.sequence === "markers" ? [sequence] : []),
    Buffer.from(table, "latin1"),
    tokenIndex,
    ...(layout.offsets === "behind" ? [offsets] : []),
    ...(layout.offsets === "behind" && layout.fromThemselves !== true ? [relativeBase] : []),
    ...(layout.sequence === "end" ? [sequence] : []),
    Buffer.from("something else behind\0"),
  ];
  if (layout.fromThemselves === true) {
    const at = vaddr + aligned(parts.slice(0, parts.indexOf(offsets))).length;
    sorted.forEach((one, place) => offsets.writeInt32LE(one.vaddr - (at + 4 * place), 4 * place));
  }
  return aligned(parts);
}

function packName(name: string): number[] {
  const packed: number[] = [];
  for (let at = 0; at < name.length;) {
    const piece = PIECES.findIndex((one) => name.startsWith(one, at));
    packed.push(piece < 0 ? name.charCodeAt(at) : 128 + piece);
    at += piece < 0 ? 1 : (PIECES[piece]?.length ?? 1);
  }
  return packed;
}

function unsigned(vaddr: number): number {
  return vaddr < 0 ? vaddr + 2 ** 52 : vaddr;
}

function words(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32LE(value, 4 * index));
  return bytes;
}

function aligned(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.map((part) => Buffer.concat([part, Buffer.alloc((8 - (part.length % 8)) % 8)])));
}
