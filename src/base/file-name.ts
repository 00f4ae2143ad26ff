const BYTE = 0xdc00;
const ESCAPED = /[\udc80-\udcff]/u;
const DELETED = " (deleted)";

/** The name that a file had, as the kernel shows it in mappings and links once the file was deleted: without what it adds then. */
export function withoutDeleted(name: string): string {
  return name.endsWith(DELETED) ? name.slice(0, -DELETED.length) : name;
}

/**
 * The name of a file as text. Names are bytes to the kernel: one that is no UTF-8 keeps its odd bytes,
 * each as the lone surrogate U+DC00 + byte, so that two such names stay two (Python's
 * surrogateescape, PEP 383). {@link fileNameBytes} is the way back.
 */
export function fileNameOf(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\ufffd") ? escapeOddBytes(bytes) : text;
}

/** What the file system calls the name: as it is or, where {@link fileNameOf} kept odd bytes, with them. */
export function fileNameBytes(name: string): string | Buffer {
  if (!ESCAPED.test(name)) return name;
  const parts: Buffer[] = [];
  // By characters, not by halves of surrogate pairs.
  for (const character of name) {
    const point = character.codePointAt(0) ?? 0;
    parts.push(ESCAPED.test(character) ? Buffer.of(point - BYTE) : Buffer.from(character));
  }
  return Buffer.concat(parts);
}

function escapeOddBytes(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = lengthOfCharacter(bytes, at);
    text +=
      length === 0 ? String.fromCharCode(BYTE + (bytes[at] ?? 0)) : bytes.toString("utf8", at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

/** Bytes of the character of UTF-8 that starts at a place; 0 where none does. Unicode, table 3-7. */
function lengthOfCharacter(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  const length =
    first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length < 2) return length;
  const second = bytes[at + 1] ?? 0;
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let index = 2; index < length; index += 1) if (((bytes[at + index] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}
