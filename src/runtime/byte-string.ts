/**
 * Strings of a script are strings of bytes, as in C: what a target holds need not be UTF-8 and must
 * reach the output unchanged. In JavaScript each is a string whose characters are the bytes, 0 to 255
 * ("binary string"), so length, comparison and substring work by byte, as the language asks, and V8
 * keeps it at one byte a character. Literals of a script become byte strings once, when it is
 * compiled; text for people (JSON, messages) is made from them at the very end.
 */
export type ByteString = string;

const UTF8 = new TextEncoder();
const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ONLY_ASCII = /^[\0-\x7f]*$/;
/** Python's "surrogateescape" (PEP 383): a byte that is no UTF-8 is U+DC00 plus the byte. */
const ESCAPE = 0xdc00;

/** The UTF-8 bytes of a text; U+DC80 … U+DCFF become the single bytes that {@link toText} made them from. */
export function fromText(text: string): ByteString {
  if (ONLY_ASCII.test(text)) return text;
  let bytes = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes +=
      code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff ? String.fromCharCode(code - ESCAPE) : utf8(character);
  }
  return bytes;
}

function utf8(character: string): ByteString {
  return String.fromCharCode(...UTF8.encode(character));
}

/**
 * The text that the bytes are in UTF-8. Bytes that are not UTF-8 become lone surrogates, U+DC80 …
 * U+DCFF, which no UTF-8 decodes to: {@link fromText} gives the very bytes back, and JSON.stringify
 * writes them as `\udc80` in plain ASCII.
 */
export function toText(bytes: ByteString): string {
  if (ONLY_ASCII.test(bytes)) return bytes;
  const buffer = toBytes(bytes);
  try {
    return STRICT_UTF8.decode(buffer);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return decodeEscaping(buffer);
  }
}

function decodeEscaping(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const decoded = decodeUtf8(bytes, at);
    if (decoded === undefined) text += String.fromCharCode(ESCAPE + (bytes[at] as number));
    else text += String.fromCodePoint(decoded.code);
    at += decoded?.length ?? 1;
  }
  return text;
}

/** One UTF-8 sequence (RFC 3629: shortest form, no surrogates), or undefined where there is none. */
export function decodeUtf8(
  bytes: { readonly length: number; readonly [index: number]: number },
  at: number,
): { readonly code: number; readonly length: number } | undefined {
  const lead = bytes[at];
  if (lead === undefined) return undefined;
  if (lead < 0x80) return { code: lead, length: 1 };
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.length) return undefined;
  let code = lead & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i] as number;
    if ((next & 0xc0) !== 0x80) return undefined;
    code = (code << 6) | (next & 0x3f);
  }
  const smallest = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
  if (code < smallest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
  return { code, length };
}

export function fromBytes(bytes: Uint8Array): ByteString {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

export function toBytes(bytes: ByteString): Uint8Array {
  return Buffer.from(bytes, "latin1");
}

/** At most `limit - 1` bytes, as a C string in a buffer of MAXSTRINGLEN = `limit` holds. */
export function truncated(bytes: ByteString, limit: number): ByteString {
  return bytes.length < limit ? bytes : bytes.slice(0, limit - 1);
}
