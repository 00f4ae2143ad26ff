import type { Edit } from "./edits.js";
import type { Random } from "./random.js";
import type { Original } from "./reader.js";

/** Pieces of text that parsers trip over. */
const WORDS: readonly string[] = [
  "", "0", "-1", "-0", "1e9", "NaN", "Infinity", "0x", "08", "4294967295", "18446744073709551615", "ffffffffffffffff",
  "7fffffffffffffff", "99999999999999999999999999999", " ", "  ", "\t", "\n", "\n\n", "\r", "\r\n", "\0", "\v", "\u2028",
  "\u00a0", "\ufeff", "🙂", "\ud800", "(", ")", ") ", "((((", ":", "::", "-", "\\", "\\012", "\\134", "\\0", " (deleted)",
  "//", "..", "[", "]", "[vdso]", "__proto__", "constructor", "toString", "%n", "unlimited",
]; // prettier-ignore
const LONGEST_REPEAT = 30_000;

/** Bytes that are no UTF-8, or only begin some. */
const BYTES: readonly Buffer[] = [
  Buffer.of(0xff),
  Buffer.of(0xff, 0xfe),
  Buffer.of(0xc3),
  Buffer.of(0xed, 0xa0, 0x80),
  Buffer.of(0xf0, 0x9f),
  Buffer.of(0x80),
];

/**
 * One to eight things done to a text, by lines, words and bytes.
 *
 * @param words     of its own kind, put in like the tricky ones
 * @param originals other texts, from which pieces are taken
 */
export function mutateText(
  { bytes }: Original,
  random: Random,
  words: readonly string[],
  originals: readonly Original[],
): Edit[] {
  const rounds = 1 + random.below(1 + random.below(8));
  return Array.from({ length: rounds }, () => oneChange(bytes, random, words, originals));
}

function oneChange(
  bytes: Buffer,
  random: Random,
  words: readonly string[],
  originals: readonly Original[],
): Edit {
  const at = random.below(bytes.length + 1);
  const word = (): Buffer => Buffer.from(random.pick(words.length === 0 || random.once(4) ? WORDS : words));
  switch (random.below(12)) {
    case 0:
      return { at, remove: 1, insert: Buffer.of((bytes[at] ?? 0) ^ (1 << random.below(8))) };
    case 1:
      return { at, remove: random.below(8), insert: random.pick(BYTES) };
    case 2:
    case 3:
      return { at, remove: 0, insert: word() };
    case 4:
    case 5:
      return { ...pieceAt(bytes, at, random.once(3) ? "\n" : " "), insert: word() };
    case 6:
      return { ...pieceAt(bytes, at, random.once(2) ? "\n" : " "), insert: Buffer.alloc(0) };
    case 7: {
      const piece = pieceAt(bytes, random.below(bytes.length + 1), "\n");
      const line = bytes.subarray(piece.at, piece.at + piece.remove);
      return { at, remove: 0, insert: Buffer.concat([Buffer.from("\n"), line, Buffer.from("\n")]) };
    }
    case 8: {
      const other = random.pick(originals).bytes;
      const from = random.below(other.length + 1);
      return { at, remove: random.below(64), insert: other.subarray(from, from + random.below(400)) };
    }
    case 9:
      return {
        at: random.once(4) ? at : bytes.length - random.below(40),
        remove: bytes.length,
        insert: Buffer.alloc(0),
      };
    case 10: {
      const unit = Buffer.concat([word(), random.once(2) ? word() : Buffer.alloc(0)]);
      const times = 2 ** random.below(15);
      return { at, remove: 0, insert: Buffer.alloc(Math.min(unit.length * times, LONGEST_REPEAT), unit) };
    }
    default:
      return { at, remove: 1 + random.below(16), insert: Buffer.alloc(0) };
  }
}

/** The word, or the line, around a place. */
function pieceAt(bytes: Buffer, at: number, separator: string): { at: number; remove: number } {
  const start = at === 0 ? 0 : bytes.lastIndexOf(separator, at - 1) + 1;
  const end = bytes.indexOf(separator, at);
  return { at: start, remove: Math.max(0, (end < 0 ? bytes.length : end) - start) };
}
