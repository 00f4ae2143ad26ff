import type { Sources } from "./errors.js";
import type { Position } from "./position.js";

export type Token =
  | { readonly kind: "identifier"; readonly text: string; readonly position: Position }
  | { readonly kind: "number"; readonly text: string; readonly value: bigint; readonly position: Position }
  /** `value`: bytes as characters 0 … 255, escapes undone. */
  | { readonly kind: "string"; readonly text: string; readonly value: string; readonly position: Position }
  /** Operators and punctuation; also `$name`, `@name`, `$1`, `@1`, `$#`, `%(` and the like. */
  | { readonly kind: "operator"; readonly text: string; readonly position: Position }
  | { readonly kind: "end"; readonly text: ""; readonly position: Position };

/** Longest first, so that the first that fits is the one meant. */
const OPERATORS = [
  "<<<",
  "<<=",
  ">>=",
  ">>>",
  "%(",
  "%)",
  "%?",
  "%:",
  "%{",
  "%}",
  "++",
  "--",
  "&&",
  "||",
  "==",
  "!=",
  "<=",
  ">=",
  "<<",
  ">>",
  "->",
  "=~",
  "!~",
  "+=",
  "-=",
  "*=",
  "/=",
  "%=",
  "&=",
  "|=",
  "^=",
  ".=",
  "::",
  "+",
  "-",
  "*",
  "/",
  "%",
  "&",
  "|",
  "^",
  "~",
  "!",
  "<",
  ">",
  "=",
  "?",
  ":",
  ".",
  ",",
  ";",
  "(",
  ")",
  "[",
  "]",
  "{",
  "}",
];

const IDENTIFIER = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /0[xX][0-9A-Fa-f]+|[0-9]+/y;
/** Behind a context variable its `$` are part of it; alone they stand behind a `]` or a `)`. */
const SPECIAL =
  /[$@](?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|#)(?:\$\$?)?|\$\$[A-Za-z_][A-Za-z0-9_]*(?:\$\$?)?|\$\$?/y;
/** Embedded C is one token, closed or not, so that whoever meets it can say what it is. */
const EMBEDDED = /%\{[^]*?(?:%\}|$)/y;
/** One at a time: a repetition of it overflows the stack of the matcher after a million comments. */
const BLANK = /\s+|#[^\n]*|\/\/[^\n]*|\/\*[^]*?\*\//y;

/** Splits a script into tokens. @throws ScriptProblem */
export function lex(file: string, text: string, sources: Sources): Token[] {
  sources.add(file, text);
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  const advance = (passed: string): void => {
    for (let index = passed.indexOf("\n"); index >= 0; index = passed.indexOf("\n", index + 1)) {
      line++;
      lineStart = at + index + 1;
    }
    at += passed.length;
  };
  for (;;) {
    for (let blank = match(BLANK); blank !== undefined; blank = match(BLANK)) advance(blank);
    const position: Position = { file, line, column: at - lineStart + 1 };
    if (at >= text.length) {
      tokens.push({ kind: "end", text: "", position });
      return tokens;
    }
    // Once, not again at each that follows: every search for the end goes through all of the rest.
    if (text.startsWith("/*", at)) throw sources.problem("parse", "comment without an end", position);
    const identifier = match(IDENTIFIER);
    if (identifier !== undefined) {
      tokens.push({ kind: "identifier", text: identifier, position });
      advance(identifier);
      continue;
    }
    const number = match(NUMBER);
    if (number !== undefined) {
      tokens.push({ kind: "number", text: number, value: parseNumber(number, position, sources), position });
      advance(number);
      continue;
    }
    if (text[at] === '"') {
      const { raw, value } = scanString(text, at, position, sources);
      tokens.push({ kind: "string", text: raw, value, position });
      advance(raw);
      continue;
    }
    const operator = match(SPECIAL) ?? match(EMBEDDED) ?? OPERATORS.find((each) => text.startsWith(each, at));
    if (operator === undefined)
      throw sources.problem("parse", `unexpected character '${text[at] ?? ""}'`, position);
    tokens.push({ kind: "operator", text: operator, position });
    advance(operator);
  }
}

function parseNumber(text: string, position: Position, sources: Sources): bigint {
  const octal = /^0[0-7]+$/.test(text);
  if (/^0[0-9]+$/.test(text) && !octal)
    throw sources.problem("parse", "number invalid or out of range", position);
  const value = BigInt(octal ? `0o${text.slice(1)}` : text);
  if (value > 0xffff_ffff_ffff_ffffn)
    throw sources.problem("parse", "number invalid or out of range", position);
  return BigInt.asIntN(64, value);
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  t: "\t",
  n: "\n",
  v: "\v",
  f: "\f",
  r: "\r",
};

/** A literal, from its opening quote on: escapes as in C. Text is kept as its UTF-8 bytes. */
function scanString(
  text: string,
  start: number,
  position: Position,
  sources: Sources,
): { raw: string; value: string } {
  let value = "";
  for (let at = start + 1; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '"') return { raw: text.slice(start, at + 1), value };
    if (character === "\n") break;
    if (character !== "\\") {
      const point = text.codePointAt(at) as number;
      value += Buffer.from(String.fromCodePoint(point)).toString("latin1");
      if (point > 0xffff) at++;
      continue;
    }
    const rest = text.slice(at + 1, at + 4);
    const octal = /^[0-7]{1,3}/.exec(rest)?.[0];
    const hex = /^x[0-9A-Fa-f]{1,2}/.exec(rest)?.[0];
    const numeric = octal ?? hex;
    if (numeric !== undefined) {
      value += String.fromCharCode(
        (octal === undefined ? parseInt(numeric.slice(1), 16) : parseInt(octal, 8)) & 0xff,
      );
      at += numeric.length;
    } else {
      const escaped = text[at + 1] ?? "";
      value += ESCAPES[escaped] ?? escaped;
      at++;
    }
  }
  throw sources.problem("parse", "Could not find matching closing quote", position);
}
