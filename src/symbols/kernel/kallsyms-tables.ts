import type { Vaddr } from "../vaddr.js";
import { vaddrIn } from "../elf/fields.js";

/**
 * The kernel's own symbol table, as its build puts it into `.rodata`. Names are packed: each is a length
 * (one byte, or two where the first has its top bit: ULEB128, since Linux 6.1) and as many tokens, which
 * stand for pieces of text; the first character of the text is the symbol's type, as nm(1) has it.
 * Linux, scripts/kallsyms.c and kernel/kallsyms.c (read for their facts).
 */
export interface KallsymsTables {
  readonly count: number;
  /** From the first name on. */
  readonly names: Uint8Array;
  /** Where in `names` each name's length stands. */
  readonly nameOffsets: Uint32Array;
  /** The text of each token, in Latin 1. */
  readonly tokens: readonly string[];
  /** Ascending, but for the first {@link absolute}: those are by themselves. */
  readonly addresses: Float64Array;
  /** So many symbols at the beginning are mere numbers: offsets of per-CPU variables. */
  readonly absolute: number;
}

type Addresses = Pick<KallsymsTables, "addresses" | "absolute">;

const TOKENS = 256;
/** A marker for each so many names tells where they begin. */
const NAMES_PER_MARKER = 256;
/** KSYM_NAME_LEN and the type character; nobody's token is longer than a name. */
const MOST_CHARACTERS = 513;
/** Names are at least two characters of type and text, packed to a length and a token. */
const LEAST_NAME = 2;

/**
 * Finds the tables by their form: there is no symbol that would say where they are, they are the symbols.
 *
 * @param data  read-only data that has them
 * @param vaddr where it is loaded, a multiple of 8
 * @returns undefined where there are none, as in a kernel without CONFIG_KALLSYMS
 */
export function findKallsyms(data: Uint8Array, vaddr: Vaddr): KallsymsTables | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 4; at + 2 * TOKENS <= data.length; at += 4) {
    // The index of the token table: its first entry is 0, and each is larger than the one before. A small
    // kernel leaves tokens empty.
    if (view.getUint16(at, true) !== 0) continue;
    const second = view.getUint16(at + 2, true);
    if (second === 0 || second > MOST_CHARACTERS) continue;
    const tokens = tokensBefore(data, view, at);
    if (tokens === undefined) continue;
    const found = namesBefore(data, view, tokens.start, tokens.texts);
    if (found === undefined) continue;
    const { names, nameOffsets, numberAt } = found;
    const count = nameOffsets.length;
    const addresses =
      addressesAt(view, offsetsBefore(numberAt, count), count, numberAt) ??
      addressesBehind(view, at + 2 * TOKENS, count, vaddr);
    if (addresses !== undefined) return { count, names, nameOffsets, tokens: tokens.texts, ...addresses };
  }
  return undefined;
}

/** The token table that an index belongs to, which stands in front of it. */
function tokensBefore(
  data: Uint8Array,
  view: DataView,
  index: number,
): { start: number; texts: string[] } | undefined {
  let before = 0;
  for (let token = 1; token < TOKENS; token += 1) {
    const offset = view.getUint16(index + 2 * token, true);
    if (offset <= before || offset > before + MOST_CHARACTERS) return undefined;
    before = offset;
  }
  // How long the last token is, and how many bytes align the index behind it, nothing says.
  const nearest = (index - before - 1) & ~3;
  for (let start = nearest; start >= 0 && start > nearest - MOST_CHARACTERS; start -= 4) {
    const texts = tokenTexts(data, view, start, index);
    if (texts !== undefined) return { start, texts };
  }
  return undefined;
}

/** The texts of tokens whose table begins at `start`; undefined where it does not. */
function tokenTexts(data: Uint8Array, view: DataView, start: number, index: number): string[] | undefined {
  const begin = (token: number): number => start + view.getUint16(index + 2 * token, true);
  for (let token = 1; token < TOKENS; token += 1) if (data[begin(token) - 1] !== 0) return undefined;
  const texts: string[] = [];
  for (let token = 0; token < TOKENS; token += 1) {
    const limit = token === TOKENS - 1 ? index : begin(token + 1);
    let text = "";
    let at = begin(token);
    for (; at < limit && data[at] !== 0; at += 1) text += String.fromCharCode(data[at] ?? 0);
    // Behind its end nothing stands but what aligns the index.
    if (token < TOKENS - 1 ? at !== limit - 1 : !isPadding(data, at, index)) return undefined;
    texts.push(text);
  }
  return texts;
}

function isPadding(data: Uint8Array, from: number, end: number): boolean {
  if (from >= end || end - from > 8) return false;
  for (let at = from; at < end; at += 1) if (data[at] !== 0) return false;
  return true;
}

interface Names {
  readonly names: Uint8Array;
  readonly nameOffsets: Uint32Array;
  /** Where the number of symbols stands. */
  readonly numberAt: number;
}

/**
 * The names in front of a token table: their number, they themselves, and markers, which prove them. The
 * permutation that sorts them (Linux 6.2, and stable ones since) stands between or behind; nobody needs it.
 */
function namesBefore(
  data: Uint8Array,
  view: DataView,
  tokenTable: number,
  tokens: readonly string[],
): Names | undefined {
  // The type character of a name is the beginning of its first token.
  const begins = Uint8Array.from(tokens, (text) => (/^[A-Za-z?]/.test(text) ? 1 : 0));
  for (let numberAt = tokenTable - 8; numberAt >= 0; numberAt -= 4) {
    const count = view.getUint32(numberAt, true);
    // The number, as many names, a marker at least.
    if (count === 0 || count > (tokenTable - numberAt) / LEAST_NAME) continue;
    const first = view.getUint32(numberAt + 4, true) === 0 ? [numberAt + 8, numberAt + 4] : [numberAt + 4];
    for (const start of first) {
      const nameOffsets = walkNames(data, start, tokenTable, count, begins);
      if (nameOffsets === undefined) continue;
      const end = start + endOfName(data, start, nameOffsets[count - 1] ?? 0);
      if (hasMarkers(view, end, tokenTable, nameOffsets))
        return { names: data.subarray(start, end), nameOffsets, numberAt };
    }
  }
  return undefined;
}

/** @returns undefined where these are no names */
function walkNames(
  data: Uint8Array,
  start: number,
  limit: number,
  count: number,
  begins: Uint8Array,
): Uint32Array | undefined {
  // Nearly all that is no names ends within a few: the table is made once they seem to be some.
  const first = Math.min(count, NAMES_PER_MARKER);
  const tried = walkSome(data, start, limit, first, begins, undefined);
  if (tried === undefined) return undefined;
  const offsets = new Uint32Array(count);
  return walkSome(data, start, limit, count, begins, offsets) === undefined ? undefined : offsets;
}

function walkSome(
  data: Uint8Array,
  start: number,
  limit: number,
  count: number,
  begins: Uint8Array,
  into: Uint32Array | undefined,
): number | undefined {
  let at = start;
  for (let name = 0; name < count; name += 1) {
    if (into !== undefined) into[name] = at - start;
    const low = data[at] ?? 0;
    const big = low >= 0x80;
    const length = big ? (low & 0x7f) | ((data[at + 1] ?? 0) << 7) : low;
    const text = at + (big ? 2 : 1);
    if (length === 0 || length > MOST_CHARACTERS || text + length > limit) return undefined;
    if (begins[data[text] ?? 0] !== 1) return undefined;
    at = text + length;
  }
  return at;
}

function endOfName(data: Uint8Array, start: number, offset: number): number {
  const low = data[start + offset] ?? 0;
  return low >= 0x80
    ? offset + 2 + ((low & 0x7f) | ((data[start + offset + 1] ?? 0) << 7))
    : offset + 1 + low;
}

function hasMarkers(view: DataView, end: number, limit: number, nameOffsets: Uint32Array): boolean {
  const markers = Math.ceil(nameOffsets.length / NAMES_PER_MARKER);
  for (const alignment of [8, 4]) {
    const at = align(end, alignment);
    if (at + 4 * markers > limit) continue;
    let fits = true;
    for (let marker = 0; fits && marker < markers; marker += 1)
      fits = view.getUint32(at + 4 * marker, true) === nameOffsets[marker * NAMES_PER_MARKER];
    if (fits) return true;
  }
  return false;
}

/** Up to Linux 6.3: offsets, their base, the number of symbols. */
function offsetsBefore(numberAt: number, count: number): number {
  return Math.floor((numberAt - 8 - 4 * count) / 8) * 8;
}

/** Since Linux 6.4: behind the token index, offsets and their base; since 7.0 each counts from itself. */
function addressesBehind(view: DataView, index: number, count: number, vaddr: Vaddr): Addresses | undefined {
  const offsets = align(index, 8);
  const end = offsets + 4 * count;
  if (end > view.byteLength) return undefined;
  return addressesAt(view, offsets, count, align(end, 8) + 8) ?? fromThemselves(view, offsets, count, vaddr);
}

function fromThemselves(view: DataView, offsets: number, count: number, vaddr: Vaddr): Addresses | undefined {
  const addresses = new Float64Array(count);
  let before = -(2 ** 31);
  for (let symbol = 0; symbol < count; symbol += 1) {
    const at = offsets + 4 * symbol;
    const address = vaddr + at + view.getInt32(at, true);
    if (address < before || address >= 0) return undefined;
    addresses[symbol] = address;
    before = address;
  }
  return { addresses, absolute: 0 };
}

/**
 * @param end of the base of the offsets, a pointer
 * @returns undefined where these are no offsets of symbols in order
 */
function addressesAt(view: DataView, offsets: number, count: number, end: number): Addresses | undefined {
  if (offsets < 0 || end > view.byteLength) return undefined;
  const base = vaddrIn(view, end - 8);
  if (base >= 0 || base < -(2 ** 31)) return undefined;
  return countedUp(view, offsets, count, base) ?? countedDown(view, offsets, count, base);
}

/** Without CONFIG_KALLSYMS_ABSOLUTE_PERCPU: all count up from the base. */
function countedUp(view: DataView, offsets: number, count: number, base: number): Addresses | undefined {
  let before = 0;
  for (let symbol = 0; symbol < count; symbol += 1) {
    const offset = view.getUint32(offsets + 4 * symbol, true);
    if (offset < before) return undefined;
    before = offset;
  }
  const addresses = new Float64Array(count);
  for (let symbol = 0; symbol < count; symbol += 1)
    addresses[symbol] = base + view.getUint32(offsets + 4 * symbol, true);
  return { addresses, absolute: 0 };
}

/** With it: absolute values come first, those of per-CPU variables; the others count down from -1. */
function countedDown(view: DataView, offsets: number, count: number, base: number): Addresses | undefined {
  let before = 0;
  let absolute = 0;
  for (let symbol = 0; symbol < count; symbol += 1) {
    const offset = view.getInt32(offsets + 4 * symbol, true);
    if (offset >= 0) {
      if (absolute !== symbol || offset < before) return undefined;
      absolute += 1;
    } else if (absolute !== symbol && offset > before) return undefined;
    before = offset;
  }
  const addresses = new Float64Array(count);
  for (let symbol = 0; symbol < count; symbol += 1) {
    const offset = view.getInt32(offsets + 4 * symbol, true);
    addresses[symbol] = offset >= 0 ? offset : base - 1 - offset;
  }
  return { addresses, absolute };
}

function align(at: number, to: number): number {
  return Math.ceil(at / to) * to;
}
