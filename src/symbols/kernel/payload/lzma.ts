/**
 * Where in the table each group of probabilities begins. "LZMA specification" of the LZMA SDK (public
 * domain), by whose words this decoder is written.
 */
const STATES = 12;
const POSITIONS = 16;
const IS_MATCH = 0;
const IS_REPEAT = IS_MATCH + STATES * POSITIONS;
const IS_REPEAT_0 = IS_REPEAT + STATES;
const IS_REPEAT_1 = IS_REPEAT_0 + STATES;
const IS_REPEAT_2 = IS_REPEAT_1 + STATES;
const IS_REPEAT_0_LONG = IS_REPEAT_2 + STATES;
const SLOTS = IS_REPEAT_0_LONG + STATES * POSITIONS;
const SPECIAL = SLOTS + 4 * 64;
const ALIGN = SPECIAL + 128;
const LENGTH_CODER = 2 + POSITIONS * 8 * 2 + 256;
const MATCH_LENGTH = ALIGN + 16;
const REPEAT_LENGTH = MATCH_LENGTH + LENGTH_CODER;
const LITERALS = REPEAT_LENGTH + LENGTH_CODER;
const LITERAL_CODER = 0x300;

const EVEN_ODDS = 1024;
const MIN_MATCH = 2;
/** A shortest match of this distance says that the data ends. */
const END_MARKER = 0xffff_ffff;

/** Something that its caller says with the name of what is damaged. */
export class DamagedLzma extends Error {}

/**
 * LZMA, as it stands in `.lzma` files and in the chunks of LZMA2. What comes out is its own dictionary: it
 * goes into one piece of memory, of the size that all of it has.
 */
export class LzmaDecoder {
  /** How much has come out. */
  at = 0;
  private readonly odds: Uint16Array;
  private literalContext = 0;
  private literalPositions = 0;
  private positionMask = 0;
  private state = 0;
  private readonly repeats = [0, 0, 0, 0] as [number, number, number, number];
  private range = 0;
  private code = 0;
  private from = 0;
  private end = 0;
  /** Matches may go back to here. */
  private dictionary = 0;

  constructor(
    private readonly packed: Uint8Array,
    private readonly into: Uint8Array,
  ) {
    this.odds = new Uint16Array(LITERALS + (LITERAL_CODER << 4)).fill(EVEN_ODDS);
  }

  /** What is behind the bytes that were read. */
  get position(): number {
    return this.from;
  }

  /** Forgets what came out before: no match goes back there. */
  forget(): void {
    this.dictionary = this.at;
  }

  /** @throws DamagedLzma there are no such properties */
  setProperties(byte: number): void {
    const context = byte % 9;
    const positions = Math.floor(byte / 9) % 5;
    if (byte >= 9 * 5 * 5 || context + positions > 4) throw new DamagedLzma("its properties make no sense");
    this.literalContext = context;
    this.literalPositions = positions;
    this.positionMask = (1 << Math.floor(byte / 45)) - 1;
  }

  resetState(): void {
    this.odds.fill(EVEN_ODDS);
    this.state = 0;
    this.repeats.fill(0);
  }

  /** Begins with a piece of packed data. @throws DamagedLzma it begins with what it cannot begin with */
  begin(from: number, end: number): void {
    if (from + 5 > end || end > this.packed.length) throw new DamagedLzma("it is cut short");
    if (this.packed[from] !== 0) throw new DamagedLzma("a piece begins with what none begins with");
    this.code = 0;
    for (let byte = 1; byte < 5; byte += 1)
      this.code = ((this.code << 8) | (this.packed[from + byte] ?? 0)) >>> 0;
    this.range = 0xffff_ffff;
    this.from = from + 5;
    this.end = end;
  }

  /**
   * Unpacks until `limit` bytes are out altogether, or to its end marker.
   *
   * @throws DamagedLzma damaged
   */
  run(limit: number): void {
    const { repeats } = this;
    while (this.at < limit) {
      const position = (this.at - this.dictionary) & this.positionMask;
      const { state } = this;
      if (this.bit(IS_MATCH + (state << 4) + position) === 0) {
        this.literal();
        continue;
      }
      let length: number;
      if (this.bit(IS_REPEAT + state) === 0) {
        length = MIN_MATCH + this.length(MATCH_LENGTH, position);
        const distance = this.distance(length);
        this.state = state < 7 ? 7 : 10;
        if (distance === END_MARKER) return;
        repeats[3] = repeats[2];
        repeats[2] = repeats[1];
        repeats[1] = repeats[0];
        repeats[0] = distance;
      } else {
        if (this.bit(IS_REPEAT_0 + state) === 0) {
          if (this.bit(IS_REPEAT_0_LONG + (state << 4) + position) === 0) {
            this.state = state < 7 ? 9 : 11;
            this.copy(1, limit);
            continue;
          }
        } else {
          let distance: number;
          if (this.bit(IS_REPEAT_1 + state) === 0) distance = repeats[1];
          else {
            if (this.bit(IS_REPEAT_2 + state) === 0) distance = repeats[2];
            else {
              distance = repeats[3];
              repeats[3] = repeats[2];
            }
            repeats[2] = repeats[1];
          }
          repeats[1] = repeats[0];
          repeats[0] = distance;
        }
        length = MIN_MATCH + this.length(REPEAT_LENGTH, position);
        this.state = state < 7 ? 8 : 11;
      }
      this.copy(length, limit);
    }
  }

  /** Lets bytes through that were not packed. */
  store(from: number, size: number): void {
    this.into.set(this.packed.subarray(from, from + size), this.at);
    this.at += size;
  }

  private literal(): void {
    const { into, odds } = this;
    const before = this.at > this.dictionary ? (into[this.at - 1] ?? 0) : 0;
    const coder =
      LITERALS +
      LITERAL_CODER *
        ((((this.at - this.dictionary) & ((1 << this.literalPositions) - 1)) << this.literalContext) +
          (before >> (8 - this.literalContext)));
    let symbol = 1;
    let { range, code, from } = this;
    const { packed } = this;
    let matched = this.state >= 7;
    let other = matched ? (into[this.at - this.repeats[0] - 1] ?? 0) : 0;
    while (symbol < 0x100) {
      let index = coder + symbol;
      let hint = 0;
      if (matched) {
        hint = (other >> 7) & 1;
        other <<= 1;
        index += (1 + hint) << 8;
      }
      // As `bit` does, without a call: half of all bits are decided here.
      const chance = odds[index] ?? 0;
      const bound = (range >>> 11) * chance;
      let bit = 0;
      if (code < bound) {
        range = bound;
        odds[index] = chance + ((2048 - chance) >> 5);
      } else {
        range -= bound;
        code -= bound;
        odds[index] = chance - (chance >> 5);
        bit = 1;
      }
      if (range < 0x100_0000) {
        range = (range << 8) >>> 0;
        code = ((code << 8) | (packed[from] ?? 0)) >>> 0;
        from += 1;
      }
      symbol = (symbol << 1) | bit;
      if (matched && bit !== hint) matched = false;
    }
    this.range = range;
    this.code = code;
    this.from = from;
    if (from > this.end) throw new DamagedLzma("it is cut short");
    into[this.at] = symbol & 0xff;
    this.at += 1;
    this.state = this.state < 4 ? 0 : this.state < 10 ? this.state - 3 : this.state - 6;
  }

  private copy(length: number, limit: number): void {
    const { into } = this;
    const distance = this.repeats[0] + 1;
    const { at } = this;
    if (distance > at - this.dictionary) throw new DamagedLzma("a match begins before the data");
    if (at + length > limit) throw new DamagedLzma("more comes out than it says");
    const end = at + length;
    for (let to = at; to < end; to += 1) into[to] = into[to - distance] ?? 0;
    this.at = end;
  }

  private length(coder: number, position: number): number {
    if (this.bit(coder) === 0) return this.tree(coder + 2 + (position << 3), 3);
    if (this.bit(coder + 1) === 0) return 8 + this.tree(coder + 2 + 128 + (position << 3), 3);
    return 16 + this.tree(coder + 2 + 256, 8);
  }

  private distance(length: number): number {
    const slot = this.tree(SLOTS + (Math.min(length - MIN_MATCH, 3) << 6), 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const high = ((2 | (slot & 1)) << bits) >>> 0;
    if (slot < 14) return high + this.reverseTree(SPECIAL + high - slot, bits);
    const middle = this.direct(bits - 4) * 16;
    return (high + middle + this.reverseTree(ALIGN, 4)) >>> 0;
  }

  private tree(odds: number, bits: number): number {
    let symbol = 1;
    for (let bit = 0; bit < bits; bit += 1) symbol = (symbol << 1) | this.bit(odds + symbol);
    return symbol - (1 << bits);
  }

  private reverseTree(odds: number, bits: number): number {
    let node = 1;
    let symbol = 0;
    for (let index = 0; index < bits; index += 1) {
      const bit = this.bit(odds + node);
      node = (node << 1) | bit;
      symbol |= bit << index;
    }
    return symbol;
  }

  /** Bits that are as likely as not. */
  private direct(bits: number): number {
    let result = 0;
    for (let bit = 0; bit < bits; bit += 1) {
      this.range >>>= 1;
      let set = 0;
      if (this.code >= this.range) {
        this.code -= this.range;
        set = 1;
      }
      this.refill();
      result = result * 2 + set;
    }
    return result;
  }

  private bit(index: number): number {
    const chance = this.odds[index] ?? 0;
    const bound = (this.range >>> 11) * chance;
    let bit = 0;
    if (this.code < bound) {
      this.range = bound;
      this.odds[index] = chance + ((2048 - chance) >> 5);
    } else {
      this.range -= bound;
      this.code -= bound;
      this.odds[index] = chance - (chance >> 5);
      bit = 1;
    }
    this.refill();
    return bit;
  }

  private refill(): void {
    if (this.range >= 0x100_0000) return;
    if (this.from > this.end) throw new DamagedLzma("it is cut short");
    this.range = (this.range << 8) >>> 0;
    this.code = ((this.code << 8) | (this.packed[this.from] ?? 0)) >>> 0;
    this.from += 1;
  }
}

/** A `.lzma` file begins with the properties, the size of the dictionary (4 bytes) and of the data (8). */
const ALONE_HEADER = 13;

/** Whether these may be the first bytes of a `.lzma` file, as `lzma -9` and `xz --format=lzma` make it. */
export function isLzmaAlone(packed: Buffer): boolean {
  if (packed.length < ALONE_HEADER + 5 || packed[0] !== 0x5d) return false;
  return packed.readUInt16LE(1) === 0 && packed[ALONE_HEADER] === 0;
}

/**
 * @param into of the size that the file unpacks to
 * @returns how much of `into` was filled
 * @throws DamagedLzma damaged
 */
export function unpackLzmaAlone(packed: Buffer, into: Uint8Array): number {
  const decoder = new LzmaDecoder(packed, into);
  decoder.setProperties(packed[0] ?? 0);
  const unknown = packed.readBigUInt64LE(5) === 0xffff_ffff_ffff_ffffn;
  const stated = unknown ? into.length : Number(packed.readBigUInt64LE(5));
  if (stated > into.length) throw new DamagedLzma("it says that more comes out than the image says");
  decoder.begin(ALONE_HEADER, packed.length);
  decoder.run(stated);
  return decoder.at;
}
