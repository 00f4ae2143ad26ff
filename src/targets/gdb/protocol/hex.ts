/** Hexadecimal digits to numbers and back, by tables: most of what a stub says is hexadecimal. */

const NONE = 0xff;
const DIGITS = "0123456789abcdef";

const VALUE = new Uint8Array(256).fill(NONE);
for (let value = 0; value < 16; value++) {
  VALUE[DIGITS.charCodeAt(value)] = value;
  VALUE[DIGITS.toUpperCase().charCodeAt(value)] = value;
}

const DIGIT = Uint8Array.from(DIGITS, (digit) => digit.charCodeAt(0));

/** @returns 0 … 15; 255 where the character is no hexadecimal digit */
export function digitValue(character: number): number {
  // A byte is an index of the table.
  return VALUE[character & 0xff] as number;
}

/** The digit's character code. */
export function digitOf(value: number): number {
  return DIGIT[value & 0xf] as number;
}

/**
 * Decodes pairs of digits.
 *
 * @returns bytes decoded, until the digits end or a pair is none (`xx`: a register that is not there)
 */
export function decodeHex(
  from: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
  offset: number,
): number {
  const most = Math.min((end - start) >> 1, into.length - offset);
  for (let index = 0; index < most; index++) {
    const high = VALUE[from[start + 2 * index] as number] as number;
    const low = VALUE[from[start + 2 * index + 1] as number] as number;
    if ((high | low) > 15) return index;
    into[offset + index] = (high << 4) | low;
  }
  return most;
}

/** Writes two digits a byte. @returns the end of what was written */
export function encodeHex(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
  offset: number,
): number {
  let at = offset;
  for (let index = start; index < end; index++) {
    const byte = bytes[index] as number;
    into[at++] = DIGIT[byte >> 4] as number;
    into[at++] = DIGIT[byte & 15] as number;
  }
  return at;
}

/** Text as hexadecimal digits: file names, commands. */
export function hexOfText(text: string): string {
  return Buffer.from(text, "utf8").toString("hex");
}

/** @returns undefined where the text is not made of pairs of digits */
export function bytesOfHex(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length % 2 !== 0) return undefined;
  const digits = Buffer.from(text, "latin1");
  const bytes = new Uint8Array(text.length / 2);
  return decodeHex(digits, 0, digits.length, bytes, 0) === bytes.length ? bytes : undefined;
}
