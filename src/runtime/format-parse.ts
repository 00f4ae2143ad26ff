import type { ByteString } from "./byte-string.js";
import { ScriptError } from "./errors.js";

/** A width or precision: absent, written out, or the next argument (`*`). */
export type Extent = undefined | number | "argument";

/** `%d %i %u %o %x %X %p` | `%c` | `%s` | `%m` | `%M` | `%b`. */
export type Conversion =
  | {
      readonly kind: "number";
      readonly base: 8 | 10 | 16;
      readonly signed: boolean;
      readonly upperCase: boolean;
    }
  | { readonly kind: "character" }
  | { readonly kind: "string" }
  /** Bytes of memory at an address, as they are or in hexadecimal. */
  | { readonly kind: "memory"; readonly hexadecimal: boolean }
  /** The number's own bytes, little end first. */
  | { readonly kind: "binary" };

export interface Directive {
  readonly kind: "directive";
  readonly conversion: Conversion;
  /** `-` */
  readonly left: boolean;
  /** `+` */
  readonly plus: boolean;
  /** a space */
  readonly space: boolean;
  /** `#`: `0x`, `0`; for `%c` escapes */
  readonly special: boolean;
  /** `0`; for `%s %m %M`: a terminating 0 byte follows */
  readonly zero: boolean;
  readonly width: Extent;
  readonly precision: Extent;
}

export type Component = { readonly kind: "literal"; readonly text: ByteString } | Directive;

type Flag = "left" | "plus" | "space" | "special" | "zero";
const FLAGS: Readonly<Record<string, Flag>> = {
  "-": "left",
  "+": "plus",
  " ": "space",
  "#": "special",
  "0": "zero",
};

const NUMBER = { kind: "number", base: 10, signed: false, upperCase: false } as const;

/** By the letter. SystemTap, staptree.cxx and langref; `%p` is `%#x`. */
const CONVERSIONS: Readonly<Record<string, Conversion>> = {
  d: { ...NUMBER, signed: true },
  i: { ...NUMBER, signed: true },
  u: NUMBER,
  o: { ...NUMBER, base: 8 },
  x: { ...NUMBER, base: 16 },
  X: { ...NUMBER, base: 16, upperCase: true },
  p: { ...NUMBER, base: 16 },
  c: { kind: "character" },
  s: { kind: "string" },
  m: { kind: "memory", hexadecimal: false },
  M: { kind: "memory", hexadecimal: true },
  b: { kind: "binary" },
};

const DIRECTIVE = /%([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?(l{0,2})(.)?/sy;

/**
 * Takes a format apart. Flags may be several, in any order, as in C.
 * @throws ScriptError SystemTap's wording; the compiler adds where
 */
export function parseFormat(format: ByteString): Component[] {
  const components: Component[] = [];
  let literal = "";
  let at = 0;
  while (at < format.length) {
    const percent = format.indexOf("%", at);
    if (percent < 0 || percent === format.length - 1) {
      literal += format.slice(at);
      break;
    }
    literal += format.slice(at, percent);
    if (format[percent + 1] === "%") {
      literal += "%";
      at = percent + 2;
      continue;
    }
    if (literal !== "") components.push({ kind: "literal", text: literal });
    literal = "";
    const [directive, length] = parseDirective(format, percent);
    components.push(directive);
    at = percent + length;
  }
  if (literal !== "") components.push({ kind: "literal", text: literal });
  return components;
}

function parseDirective(format: ByteString, at: number): readonly [Directive, length: number] {
  DIRECTIVE.lastIndex = at;
  const match = DIRECTIVE.exec(format);
  const letter = match?.[5];
  if (match === null || letter === undefined) {
    throw new ScriptError("trailing incomplete print format conversion");
  }
  const conversion = Object.hasOwn(CONVERSIONS, letter) ? CONVERSIONS[letter] : undefined;
  if (conversion === undefined) throw new ScriptError("invalid or missing conversion specifier");
  const flags = { left: false, plus: false, space: false, special: letter === "p", zero: false };
  for (const flag of match[1] ?? "") flags[FLAGS[flag] as Flag] = true;
  const directive: Directive = {
    kind: "directive",
    conversion,
    ...flags,
    width: extent(match[2]),
    precision: extent(match[3]),
  };
  return [directive, match[0].length];
}

function extent(text: string | undefined): Extent {
  return text === undefined ? undefined : text === "*" ? "argument" : Number(text);
}
