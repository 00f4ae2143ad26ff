import { type ByteString, truncated } from "./byte-string.js";
import { MESSAGES, ScriptError } from "./errors.js";
import type { Long } from "./integers.js";

/*
 * The string functions of SystemTap's tapset (string.stp, tokenize.stp), by their names there. All
 * work on bytes. `maxStringLength` is MAXSTRINGLEN: results longer than that minus one are cut.
 */

export function strlen(text: ByteString): Long {
  return BigInt(text.length);
}

/** "" where the start is not within the text or the length is not positive. */
export function substr(text: ByteString, start: Long, length: Long): ByteString {
  if (start < 0n || start >= BigInt(text.length) || length <= 0n) return "";
  const from = Number(start);
  return length >= BigInt(text.length) ? text.slice(from) : text.slice(from, from + Number(length));
}

/** The byte at a position, as C's `char` on x86-64: -128 … 127. @throws ScriptError Position out of bounds */
export function stringat(text: ByteString, position: Long): Long {
  if (position < 0n || position >= BigInt(text.length)) throw new ScriptError(MESSAGES.stringPosition);
  return BigInt.asIntN(8, BigInt(text.charCodeAt(Number(position))));
}

export function isinstr(text: ByteString, part: ByteString): Long {
  return text.includes(part) ? 1n : 0n;
}

/** Where the part begins, -1: nowhere. */
export function strpos(text: ByteString, part: ByteString): Long {
  return BigInt(text.indexOf(part));
}

export function isdigit(text: ByteString): Long {
  return /^\d/.test(text) ? 1n : 0n;
}

/** `.` of two strings, and `.=`. */
export function concatenate(left: ByteString, right: ByteString, maxStringLength: number): ByteString {
  return truncated(left + right, maxStringLength);
}

/** Every part replaced, from the left; an empty part changes nothing. */
export function str_replace(
  text: ByteString,
  part: ByteString,
  replacement: ByteString,
  maxStringLength: number,
): ByteString {
  return part === "" ? text : truncated(text.split(part).join(replacement), maxStringLength);
}

/**
 * The number that the text begins with, 0 where it begins with none. As the kernel's simple_strtol,
 * which SystemTap calls: a leading `-`, no blanks, no `+`; base 0 looks at `0x` and `0`, base 16
 * passes over `0x`; digits go to `f`; what does not fit wraps.
 */
export function strtol(text: ByteString, base: Long): Long {
  const negative = text.startsWith("-");
  let at = negative ? 1 : 0;
  let radix = BigInt.asUintN(32, base);
  const hexadecimal = /^0x[0-9a-f]/i.test(text.slice(at, at + 3));
  if (radix === 0n) radix = hexadecimal ? 16n : text[at] === "0" ? 8n : 10n;
  if (radix === 16n && /^0x/i.test(text.slice(at, at + 2))) at += 2;
  let value = 0n;
  for (; at < text.length; at++) {
    const digit = hexDigit(text.charCodeAt(at));
    if (digit === undefined || digit >= radix) break;
    value = BigInt.asUintN(64, value * radix + digit);
  }
  return BigInt.asIntN(64, negative ? -value : value);
}

function hexDigit(code: number): bigint | undefined {
  const character = String.fromCharCode(code);
  return /[0-9a-f]/i.test(character) ? BigInt(`0x${character}`) : undefined;
}

/** `tokenize(input, delimiters)` and, for the next token, `tokenize("", delimiters)`. One for each hit. */
export class Tokenizer {
  #rest: ByteString | undefined;

  /** The next token that is not empty, cut at any byte of `delimiters`; "" at the end. */
  next(input: ByteString, delimiters: ByteString): ByteString {
    if (input !== "") this.#rest = input;
    while (this.#rest !== undefined) {
      const rest: ByteString = this.#rest;
      let end = 0;
      while (end < rest.length && !delimiters.includes(rest.charAt(end))) end++;
      this.#rest = end < rest.length ? rest.slice(end + 1) : undefined;
      if (end > 0) return rest.slice(0, end);
    }
    return "";
  }
}
