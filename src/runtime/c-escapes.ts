import type { ByteString } from "./byte-string.js";

const BACKSLASH = 0x5c;

/** Bytes that C has a letter for. Without `\0`: a digit behind it would change its meaning. */
const LETTERS: Readonly<Record<number, string>> = {
  7: "\\a",
  8: "\\b",
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  [BACKSLASH]: "\\\\",
};

/** One byte as it stands in a C literal between `quote`s: itself, a letter's escape, or three octal digits. */
export function escapeByte(byte: number, quote: "'" | '"'): ByteString {
  const letter = LETTERS[byte];
  if (letter !== undefined) return letter;
  const character = String.fromCharCode(byte);
  if (character === quote) return `\\${quote}`;
  return byte >= 0x20 && byte < 0x7f ? character : `\\${byte.toString(8).padStart(3, "0")}`;
}
