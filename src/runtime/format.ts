import { type ByteString, fromBytes, truncated } from "./byte-string.js";
import { escapeByte } from "./c-escapes.js";
import { MESSAGES, ScriptError } from "./errors.js";
import { type Component, type Directive, type Extent, parseFormat } from "./format-parse.js";
import { type Long, toInt32 } from "./integers.js";

export type Value = Long | ByteString;

/**
 * Reads memory of the target for `%m` and `%M`.
 * @throws MemoryFault it cannot be read; the handler's fence is for that
 */
export type MemoryReader = (address: Long, length: number) => ByteString;

/** A width or precision is at most so much. SystemTap's STP_BUFFER_SIZE. */
const MOST_EXTENT = 8192;
/** `%m` and `%M` dump at most a page. */
const MOST_MEMORY = 4096n;

/**
 * A format of the printf family, taken apart once, at compile time.
 *
 * Where C and SystemTap's runtime differ (runtime/vsprintf.c), SystemTap it is: `%#x` of 0 is `0x0`
 * and `%#o` of 0 `00`, `%.0d` of 0 is `0`, a precision does not switch the `0` flag off, a negative
 * `*` counts as 0.
 */
export class Format {
  readonly components: readonly Component[];
  /** What the arguments must be, in order, those for `*` included. */
  readonly argumentTypes: readonly ("long" | "string")[];

  /** @throws ScriptError the format is ill-formed; the compiler adds where */
  constructor(format: ByteString) {
    this.components = parseFormat(format);
    this.argumentTypes = this.components.flatMap(argumentTypes);
  }

  /**
   * @param values     as many and such as `argumentTypes` says; the compiler has checked that
   * @param readMemory for `%m`, `%M`
   * @throws ScriptError too many bytes for a memory dump
   * @throws MemoryFault from `readMemory`
   */
  apply(values: readonly Value[], readMemory: MemoryReader = noMemory): ByteString {
    let text = "";
    let next = 0;
    for (const component of this.components) {
      if (component.kind === "literal") {
        text += component.text;
        continue;
      }
      const width = component.width === "argument" ? (values[next++] as Long) : component.width;
      const precision = component.precision === "argument" ? (values[next++] as Long) : component.precision;
      text += convert(component, values[next++] as Value, clamp(width), clamp(precision), readMemory);
    }
    return text;
  }
}

/** What `sprintf` gives: a C string in a buffer of MAXSTRINGLEN bytes. */
export function cString(bytes: ByteString, maxStringLength: number): ByteString {
  const end = bytes.indexOf("\0");
  return truncated(end < 0 ? bytes : bytes.slice(0, end), maxStringLength);
}

/** `print`, `println`, `printd`, `printdln` without the format: decimal numbers, strings as they are. */
export function joinValues(values: readonly Value[], delimiter: ByteString): ByteString {
  return values.length === 1 ? String(values[0]) : values.join(delimiter);
}

function noMemory(): never {
  throw new TypeError("this format reads no memory");
}

function argumentTypes(component: Component): ("long" | "string")[] {
  if (component.kind === "literal") return [];
  const types: ("long" | "string")[] = [];
  if (component.width === "argument") types.push("long");
  if (component.precision === "argument") types.push("long");
  types.push(component.conversion.kind === "string" ? "string" : "long");
  return types;
}

function clamp(extent: Exclude<Extent, "argument"> | Long): number | undefined {
  if (extent === undefined) return undefined;
  const number = typeof extent === "bigint" ? toInt32(extent) : extent;
  return Math.min(Math.max(number, 0), MOST_EXTENT);
}

function convert(
  directive: Directive,
  value: Value,
  width: number | undefined,
  precision: number | undefined,
  readMemory: MemoryReader,
): ByteString {
  const { conversion } = directive;
  switch (conversion.kind) {
    case "number":
      return convertNumber(directive, conversion, value as Long, width ?? 0, precision ?? 0);
    case "character": {
      const byte = Number((value as Long) & 0xffn);
      return pad(directive.special ? escapeByte(byte, "'") : String.fromCharCode(byte), directive, width);
    }
    case "string": {
      const text = value as ByteString;
      return terminated(
        pad(precision === undefined ? text : text.slice(0, precision), directive, width),
        directive,
      );
    }
    case "memory": {
      const bytes = dump(value as Long, precision, readMemory);
      const text = conversion.hexadecimal ? Buffer.from(bytes, "latin1").toString("hex") : bytes;
      return terminated(pad(text, directive, width), directive);
    }
    case "binary":
      return convertBinary(value as Long, directive.left, width, precision);
  }
}

function convertNumber(
  directive: Directive,
  { base, signed, upperCase }: Extract<Directive["conversion"], { kind: "number" }>,
  value: Long,
  width: number,
  precision: number,
): ByteString {
  const negative = signed && value < 0n;
  const magnitude = negative ? -value : signed ? value : BigInt.asUintN(64, value);
  let digits = magnitude.toString(base);
  let prefix = "";
  if (signed) prefix = negative ? "-" : directive.plus ? "+" : directive.space ? " " : "";
  if (directive.special && base !== 10) prefix += base === 16 ? "0x" : "0";
  if (upperCase) {
    digits = digits.toUpperCase();
    prefix = prefix.toUpperCase();
  }
  digits = digits.padStart(precision, "0");
  if (directive.left) return (prefix + digits).padEnd(width);
  if (directive.zero) return prefix + digits.padStart(width - prefix.length, "0");
  return (prefix + digits).padStart(width);
}

function dump(address: Long, precision: number | undefined, readMemory: MemoryReader): ByteString {
  const length = BigInt(precision ?? 1);
  if (length > MOST_MEMORY) throw new ScriptError(MESSAGES.memoryDump(length));
  return readMemory(address, Math.max(1, Number(length)));
}

/** 1, 2, 4 or 8 bytes: the precision's number, else the width's, else 8; padded to the width with 0 bytes. */
function convertBinary(
  value: Long,
  left: boolean,
  width: number | undefined,
  precision: number | undefined,
): ByteString {
  const size = binarySize(precision) ?? binarySize(width) ?? 8;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  const text = fromBytes(bytes.subarray(0, size));
  return left ? text.padEnd(width ?? 0, "\0") : text.padStart(width ?? 0, "\0");
}

function binarySize(extent: number | undefined): number | undefined {
  return extent === 1 || extent === 2 || extent === 4 || extent === 8 ? extent : undefined;
}

function pad(text: ByteString, directive: Directive, width: number | undefined): ByteString {
  if (width === undefined) return text;
  return directive.left ? text.padEnd(width) : text.padStart(width);
}

function terminated(text: ByteString, directive: Directive): ByteString {
  return directive.zero ? `${text}\0` : text;
}
