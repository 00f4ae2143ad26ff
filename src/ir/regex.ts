import { assertNever } from "../base/assert-never.js";

/**
 * Regular expressions of `=~` and `!~`: POSIX extended ones, as SystemTap has them (its manual,
 * "regular expression matching"), on bytes. `.` and `[^…]` match a line's end too, `^` and `$` only
 * the ends of the whole string, `(?:…)` is a group, `\` takes the next character for itself.
 * There are no back references, so every pattern can be matched in time linear in the string.
 */
export type RegexNode =
  | { readonly kind: "empty" }
  | { readonly kind: "byte"; readonly set: ByteSet }
  | { readonly kind: "start" }
  | { readonly kind: "end" }
  | { readonly kind: "sequence"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "choice"; readonly options: readonly RegexNode[] }
  /** `most` is undefined where there is no bound. */
  | {
      readonly kind: "repeat";
      readonly body: RegexNode;
      readonly least: number;
      readonly most: number | undefined;
    };

/** 256 numbers, 1 for each byte in the set. */
export type ByteSet = Uint8Array;

/** A pattern that is none. */
export class RegexProblem extends Error {
  /** @param position in the pattern, in bytes from 0; undefined where no single place is to blame */
  constructor(
    message: string,
    readonly position: number | undefined,
  ) {
    super(message);
  }
}

/** SystemTap's bound on the numbers in braces. */
const MOST_REPETITIONS = 12_345;
/** Parts of a pattern when its repetitions are written out: what braces in braces can blow it up to. */
const MOST_PARTS = 20_000;
/** Groups in groups: deeper ones nobody writes, and the parser recurses. */
const DEEPEST = 250;
const CLOSURES = "*+?{";

/** Named classes as in the C locale, and SystemTap's short names of some. */
const CLASSES: Readonly<Record<string, string>> = {
  alpha: "A-Za-z",
  alnum: "A-Za-z0-9",
  blank: " \t-\t",
  cntrl: "\x01-\x1f\x7f-\x7f",
  d: "0-9",
  digit: "0-9",
  xdigit: "0-9a-fA-F",
  graph: "!-~",
  l: "a-z",
  lower: "a-z",
  print: " -~",
  punct: "!-/:-@[-`{-~",
  s: "\t-\r - ",
  space: "\t-\r - ",
  u: "A-Z",
  upper: "A-Z",
};

/** @param pattern bytes as characters, escapes of the literal already resolved @throws RegexProblem */
export function parseRegex(pattern: string): RegexNode {
  const node = new Parser(pattern).parse();
  if (partsOf(node) > MOST_PARTS) throw new RegexProblem("the repetitions make it too large", undefined);
  return node;
}

/** How many parts an automaton is made of in which every repetition is written out. */
function partsOf(node: RegexNode): number {
  switch (node.kind) {
    case "empty":
    case "byte":
    case "start":
    case "end":
      return 1;
    case "sequence":
      return sum(node.parts);
    case "choice":
      return sum(node.options);
    case "repeat":
      // Empty bodies count as well: `((){999}){999}` takes as long.
      return 1 + (1 + partsOf(node.body)) * (node.most ?? node.least + 1);
    default:
      return assertNever(node);
  }
}

function sum(nodes: readonly RegexNode[]): number {
  return nodes.reduce((total, node) => total + partsOf(node), 1);
}

class Parser {
  private at = 0;
  private depth = 0;

  constructor(private readonly pattern: string) {}

  parse(): RegexNode {
    const node = this.choice();
    if (this.at < this.pattern.length) throw this.problem("unbalanced ')'");
    return node;
  }

  private choice(): RegexNode {
    const options = [this.sequence()];
    while (this.takes("|")) options.push(this.sequence());
    return options.length === 1 ? (options[0] as RegexNode) : { kind: "choice", options };
  }

  private sequence(): RegexNode {
    const parts: RegexNode[] = [];
    while (this.at < this.pattern.length && this.peek() !== "|" && this.peek() !== ")")
      parts.push(this.repeated());
    return parts.length === 0 ? { kind: "empty" } : { kind: "sequence", parts };
  }

  private repeated(): RegexNode {
    let node = this.atom();
    for (let count = 0; ; count++) {
      const sign = this.peek();
      if (sign === undefined || !CLOSURES.includes(sign)) return node;
      if (count === DEEPEST) throw this.problem("too many closures of one atom");
      if (node.kind === "start" || node.kind === "end") {
        throw this.problem(`postfix closure '${sign}' applied to anchoring operator`);
      }
      this.at++;
      node = { kind: "repeat", body: node, ...this.bounds(sign) };
    }
  }

  private bounds(sign: string): { readonly least: number; readonly most: number | undefined } {
    if (sign === "*") return { least: 0, most: undefined };
    if (sign === "+") return { least: 1, most: undefined };
    if (sign === "?") return { least: 0, most: 1 };
    const opening = this.at - 1;
    const least = this.number();
    let most: number | undefined = least;
    if (this.takes(",")) most = this.peek() === "}" ? undefined : this.number();
    this.expect("}");
    if (most !== undefined && most < least)
      throw new RegexProblem(`inverted repetition {${least},${most}}`, opening);
    return { least, most };
  }

  private number(): number {
    const digits = /^\d+/.exec(this.pattern.slice(this.at))?.[0];
    if (digits === undefined) throw this.problem("expected number");
    const value = Number(digits);
    if (value >= MOST_REPETITIONS) throw this.problem(`${digits} is too large`);
    this.at += digits.length;
    return value;
  }

  private atom(): RegexNode {
    const sign = this.peek() as string;
    if (CLOSURES.includes(sign)) throw this.problem(`unexpected '${sign}'`);
    this.at++;
    switch (sign) {
      case ".":
        return { kind: "byte", set: inverted(new Uint8Array(256)) };
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case "(":
        return this.group();
      case "[":
        return { kind: "byte", set: this.bracket() };
      case "\\":
        return { kind: "byte", set: one(this.escaped()) };
      default:
        return { kind: "byte", set: one(sign) };
    }
  }

  private group(): RegexNode {
    if (++this.depth > DEEPEST) throw this.problem("too many groups in groups");
    if (this.takes("?")) {
      const kind = this.peek() ?? "";
      if (!this.takes(":")) throw this.problem(`unexpected '(?${kind}'`);
    }
    const node = this.choice();
    this.expect(")");
    this.depth--;
    // A group of its own: `(^)*` repeats a group, `^*` is refused.
    return { kind: "sequence", parts: [node] };
  }

  private bracket(): ByteSet {
    const set = new Uint8Array(256);
    const isInverted = this.takes("^");
    // A `]` at the beginning is a member.
    do this.member(set);
    while (!this.takes("]"));
    return isInverted ? inverted(set) : set;
  }

  private member(set: ByteSet): void {
    const low = this.peek();
    if (low === undefined) throw this.problem("unclosed character class");
    if (this.pattern.startsWith("[:", this.at)) {
      this.namedClass(set);
      return;
    }
    this.at++;
    const from = low === "\\" ? this.escaped() : low;
    const isRange =
      this.peek() === "-" && this.at + 1 < this.pattern.length && this.pattern[this.at + 1] !== "]";
    if (!isRange) {
      add(set, from, from);
      return;
    }
    this.at++;
    const sign = this.peek() as string;
    this.at++;
    const to = sign === "\\" ? this.escaped() : sign;
    if (to < from) throw this.problem(`Inverted character range ${from}-${to}`);
    add(set, from, to);
  }

  private namedClass(set: ByteSet): void {
    const opening = this.at;
    const end = this.pattern.indexOf(":]", this.at + 2);
    if (end < 0) throw new RegexProblem(`unclosed character class '${this.pattern.slice(opening)}'`, opening);
    const name = this.pattern.slice(opening + 2, end);
    const ranges = Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined;
    if (ranges === undefined) throw new RegexProblem(`unknown character class '${name}'`, opening);
    for (let index = 0; index < ranges.length;) {
      const single = ranges[index + 1] !== "-";
      const from = ranges.charAt(index);
      add(set, from, single ? from : ranges.charAt(index + 2));
      index += single ? 1 : 3;
    }
    this.at = end + 2;
  }

  private escaped(): string {
    const sign = this.peek();
    if (sign === undefined) throw this.problem("unexpected end of regex");
    this.at++;
    return sign;
  }

  private peek(): string | undefined {
    return this.pattern[this.at];
  }

  private takes(sign: string): boolean {
    if (this.peek() !== sign) return false;
    this.at++;
    return true;
  }

  private expect(sign: string): void {
    if (this.takes(sign)) return;
    throw this.problem(`expected ${sign}, found ${this.peek() ?? "end of regex"}`);
  }

  private problem(message: string): RegexProblem {
    return new RegexProblem(message, this.at);
  }
}

function one(byte: string): ByteSet {
  const set = new Uint8Array(256);
  add(set, byte, byte);
  return set;
}

function add(set: ByteSet, from: string, to: string): void {
  set.fill(1, from.charCodeAt(0), to.charCodeAt(0) + 1);
}

function inverted(set: ByteSet): ByteSet {
  return set.map((member) => 1 - member);
}
