import { BitReader } from "./bit-reader.js";

const BLOCK_MAGIC = [0x314159, 0x265359] as const;
const END_MAGIC = [0x177245, 0x385090] as const;
/** A block has up to nine times as many bytes. */
const BLOCK_UNIT = 100_000;
const SYMBOLS_PER_SELECTOR = 50;
const MOST_CODE_BITS = 20;
const RUN_A = 0;
const RUN_B = 1;

/** Something that its caller says with the name of what is damaged. */
class DamagedBzip2 extends Error {}

/**
 * Unpacks what bzip2(1) makes. There is no specification; "BZIP2: Format Specification" (Joe Tsai, 2016)
 * describes what the program does.
 *
 * @param into of the size that it unpacks to
 * @returns how much of `into` was filled
 * @throws DamagedBzip2 damaged
 */
export function unpackBzip2(packed: Uint8Array, into: Uint8Array): number {
  const level = (packed[3] ?? 0) - 0x30;
  if (level < 1 || level > 9) throw new DamagedBzip2("its header makes no sense");
  const bits = new BitReader(packed, 4, () => new DamagedBzip2("it is cut short"));
  // Positions fill the upper three bytes once the bytes, in the lowest, are known.
  const block = new Uint32Array(Math.min(level * BLOCK_UNIT, into.length + 1));
  let to = 0;
  for (;;) {
    const magic = [bits.read(24), bits.read(24)];
    const checksum = ((bits.read(16) << 16) | bits.read(16)) >>> 0;
    if (magic[0] === END_MAGIC[0] && magic[1] === END_MAGIC[1]) return to;
    if (magic[0] !== BLOCK_MAGIC[0] || magic[1] !== BLOCK_MAGIC[1])
      throw new DamagedBzip2("a block does not begin as blocks begin");
    if (bits.read(1) === 1) throw new DamagedBzip2("it was made by a version from before 1997");
    const first = bits.read(24);
    const length = readBlock(bits, block);
    if (first >= length) throw new DamagedBzip2("a block begins behind its end");
    const from = to;
    to = undoSorting(block, length, first, into, to);
    if (checksumOf(into, from, to) !== checksum) throw new DamagedBzip2("a block has another checksum");
  }
}

/** Huffman codes, of which the move-to-front coder and a run-length coder made bytes. @returns their number */
function readBlock(bits: BitReader, block: Uint32Array): number {
  const used = readUsedBytes(bits);
  const groups = bits.read(3);
  const selectorCount = bits.read(15);
  if (used.length === 0 || groups < 2 || groups > 6 || selectorCount === 0)
    throw new DamagedBzip2("the header of a block makes no sense");
  const selectors = readSelectors(bits, groups, selectorCount);
  const codes = Array.from({ length: groups }, () => readCode(bits, used.length + 2));
  const endOfBlock = used.length + 1;
  const recent = used;
  let length = 0;
  let run = 0;
  let weight = 1;
  for (const selector of selectors) {
    const code = codes[selector];
    if (code === undefined) throw new DamagedBzip2("a code is used that is not there");
    for (let index = 0; index < SYMBOLS_PER_SELECTOR; index += 1) {
      const symbol = readSymbol(bits, code);
      if (symbol === RUN_A || symbol === RUN_B) {
        // A number in a system whose digits are 1 and 2.
        run += weight * (symbol + 1);
        weight *= 2;
        if (length + run > block.length) throw new DamagedBzip2("a block is longer than blocks are");
        continue;
      }
      if (run > 0) {
        block.fill(recent[0] ?? 0, length, length + run);
        length += run;
        run = 0;
        weight = 1;
      }
      if (symbol === endOfBlock) return length;
      if (length >= block.length) throw new DamagedBzip2("a block is longer than blocks are");
      const place = symbol - 1;
      const byte = recent[place] ?? 0;
      recent.copyWithin(1, 0, place);
      recent[0] = byte;
      block[length] = byte;
      length += 1;
    }
  }
  throw new DamagedBzip2("a block has no end");
}

/** Which bytes occur: sixteen bits for sixteen times sixteen bits. */
function readUsedBytes(bits: BitReader): Uint8Array {
  const rows = bits.read(16);
  const used: number[] = [];
  for (let row = 0; row < 16; row += 1) {
    if ((rows & (0x8000 >> row)) === 0) continue;
    const columns = bits.read(16);
    for (let column = 0; column < 16; column += 1)
      if ((columns & (0x8000 >> column)) !== 0) used.push(16 * row + column);
  }
  return Uint8Array.from(used);
}

function readSelectors(bits: BitReader, groups: number, count: number): Uint8Array {
  const recent = Uint8Array.from({ length: groups }, (_, group) => group);
  const selectors = new Uint8Array(count);
  for (let index = 0; index < count; index += 1) {
    let place = 0;
    while (bits.read(1) === 1) {
      place += 1;
      if (place >= groups) throw new DamagedBzip2("a code is chosen that is not there");
    }
    const selector = recent[place] ?? 0;
    recent.copyWithin(1, 0, place);
    recent[0] = selector;
    selectors[index] = selector;
  }
  return selectors;
}

/** A canonical Huffman code: by length, the largest code word and what to take from one for its position. */
interface Code {
  readonly shortest: number;
  readonly longest: number;
  readonly limits: Int32Array;
  readonly bases: Int32Array;
  /** Symbols in order of their code words. */
  readonly symbols: Uint16Array;
}

function readCode(bits: BitReader, symbolCount: number): Code {
  const lengths = new Uint8Array(symbolCount);
  let length = bits.read(5);
  for (let symbol = 0; symbol < symbolCount; symbol += 1) {
    for (;;) {
      if (length < 1 || length > MOST_CODE_BITS) throw new DamagedBzip2("a code word has no possible length");
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 0 ? 1 : -1;
    }
    lengths[symbol] = length;
  }
  const shortest = Math.min(...lengths);
  const longest = Math.max(...lengths);
  const limits = new Int32Array(MOST_CODE_BITS + 1).fill(-1);
  const bases = new Int32Array(MOST_CODE_BITS + 1);
  const symbols = new Uint16Array(symbolCount);
  let position = 0;
  let word = 0;
  for (let size = shortest; size <= longest; size += 1) {
    bases[size] = word - position;
    for (let symbol = 0; symbol < symbolCount; symbol += 1) {
      if (lengths[symbol] !== size) continue;
      symbols[position] = symbol;
      position += 1;
      word += 1;
    }
    limits[size] = word - 1;
    word *= 2;
  }
  return { shortest, longest, limits, bases, symbols };
}

function readSymbol(bits: BitReader, code: Code): number {
  let length = code.shortest;
  let word = bits.read(length);
  while (word > (code.limits[length] ?? -1)) {
    if (length >= code.longest) throw new DamagedBzip2("a code word is not there");
    word = (word << 1) | bits.read(1);
    length += 1;
  }
  const symbol = code.symbols[word - (code.bases[length] ?? 0)];
  if (symbol === undefined) throw new DamagedBzip2("a code word is not there");
  return symbol;
}

/**
 * Undoes the Burrows-Wheeler transform, and the runs that were shortened before it: four equal bytes are
 * followed by how many more there were.
 */
function undoSorting(
  block: Uint32Array,
  length: number,
  first: number,
  into: Uint8Array,
  begin: number,
): number {
  const places = new Uint32Array(256);
  for (let at = 0; at < length; at += 1) {
    const byte = (block[at] ?? 0) & 0xff;
    places[byte] = (places[byte] ?? 0) + 1;
  }
  let sum = 0;
  for (let byte = 0; byte < 256; byte += 1) {
    const count = places[byte] ?? 0;
    places[byte] = sum;
    sum += count;
  }
  for (let at = 0; at < length; at += 1) {
    const byte = (block[at] ?? 0) & 0xff;
    const place = places[byte] ?? 0;
    places[byte] = place + 1;
    block[place] = (block[place] ?? 0) | (at << 8);
  }
  let to = begin;
  let equal = 0;
  let last = -1;
  let next = (block[first] ?? 0) >>> 8;
  for (let count = 0; count < length; count += 1) {
    const entry = block[next] ?? 0;
    const byte = entry & 0xff;
    next = entry >>> 8;
    if (equal === 4) {
      if (to + byte > into.length) throw new DamagedBzip2("more comes out than it says");
      into.fill(last, to, to + byte);
      to += byte;
      equal = 0;
      continue;
    }
    equal = byte === last ? equal + 1 : 1;
    last = byte;
    if (to >= into.length) throw new DamagedBzip2("more comes out than it says");
    into[to] = byte;
    to += 1;
  }
  return to;
}

/** CRC-32 with the polynomial 0x04c11db7, highest bit first. */
function checksumOf(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0xffff_ffff;
  for (let at = from; at < to; at += 1)
    crc = (crc << 8) ^ (CRC_TABLE[((crc >>> 24) ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  return ~crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value < 0 ? (value << 1) ^ 0x04c1_1db7 : value << 1;
  return value >>> 0;
});
