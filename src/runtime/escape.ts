import { type ByteString, decodeUtf8, toBytes } from "./byte-string.js";
import { escapeByte } from "./c-escapes.js";
import type { Long } from "./integers.js";

export interface EscapeOptions {
  /** MAXSTRINGLEN. */
  readonly maxStringLength: number;
  /** Put double quotes around it, and `...` behind where it was cut. */
  readonly quoted: boolean;
  /** Bytes taken from the input at most; 0 or too many: MAXSTRINGLEN - 1. */
  readonly inputLength?: number;
  /** Bytes given at most, quotes and dots included; 0 or too many: MAXSTRINGLEN - 1. */
  readonly outputLength?: number;
  /** Zero bytes do not end the input but come out as `\000`. */
  readonly buffer?: boolean;
}

/**
 * What `text_str`, `string_quoted`, `user_string_quoted` and their family give: printable ASCII as it
 * is, C escapes, octal for other bytes, `\uXXXX` and `\UXXXXXXXX` for UTF-8. An escape is never cut in
 * two. What is cut always has its dots; SystemTap leaves them out where the cut falls on the input's
 * last byte as well.
 */
export function escapeString(bytes: ByteString, options: EscapeOptions): ByteString {
  const most = options.maxStringLength - 1;
  const input = toBytes(bytes.slice(0, bounded(options.inputLength, most)));
  const outputLength = bounded(options.outputLength, most);
  // Quotes take two; with less than five there would be no room for a character and its dots.
  const room = options.quoted ? Math.max(outputLength, 5) - 2 : outputLength;

  let text = "";
  let textBeforeDots = "";
  let cut = false;
  for (let at = 0; at < input.length;) {
    if (input[at] === 0 && options.buffer !== true) break;
    const [piece, length] = escapeAt(input, at);
    at += length;
    if (text.length + piece.length > room) {
      cut = true;
      break;
    }
    text += piece;
    if (text.length <= room - 3) textBeforeDots = text;
  }
  if (!options.quoted) return text;
  return cut ? `"${textBeforeDots}"...` : `"${text}"`;
}

/** `text_strn(input, len, quoted)`. */
export function textStrn(input: ByteString, length: Long, quoted: Long, maxStringLength: number): ByteString {
  const outputLength = length < 0n ? 0 : length > BigInt(maxStringLength) ? maxStringLength : Number(length);
  return escapeString(input, { maxStringLength, outputLength, quoted: quoted !== 0n });
}

function bounded(length: number | undefined, most: number): number {
  return length === undefined || length <= 0 || length > most ? most : length;
}

function escapeAt(input: Uint8Array, at: number): readonly [ByteString, number] {
  const byte = input[at] as number;
  if (byte >= 0x80) {
    const decoded = decodeUtf8(input, at);
    if (decoded !== undefined) {
      const { code, length } = decoded;
      const escape =
        code <= 0xffff
          ? `\\u${code.toString(16).toUpperCase().padStart(4, "0")}`
          : `\\U${code.toString(16).toUpperCase().padStart(8, "0")}`;
      return [escape, length];
    }
  }
  return [escapeByte(byte, '"'), 1];
}
