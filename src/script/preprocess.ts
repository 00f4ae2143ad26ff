import { release } from "node:os";
import { type Sources, similarNames } from "./errors.js";
import { lex, type Token } from "./lex.js";
import { expandedSize, expandMacro, type Macro, readArguments, readMacro, TokenSource } from "./macros.js";

/** How many macros may be expanded in one script: a macro that uses itself would never end. */
const MOST_EXPANSIONS = 10_000;
/** And to how many tokens together: ten thousand large ones would fill the memory. */
const MOST_TOKENS = 1_000_000;
/** Conditionals in one another. They are read by recursion. */
const DEEPEST = 500;

/**
 * Script arguments (`$1`, `@1`, `$#`), macros (`@define`) and conditionals `%( … %? … %: … %)`.
 * SystemTap language reference, 2.5 to 2.7.
 *
 * @param macros those of the library; a script's own are added to it
 * @throws ScriptProblem
 */
export function preprocess(
  tokens: readonly Token[],
  args: readonly string[],
  sources: Sources,
  macros: Map<string, Macro>,
): Token[] {
  return new Preprocessor(tokens, args, sources, macros).run();
}

class Preprocessor {
  private readonly source: TokenSource;
  private readonly own = new Set<string>();
  private expansions = 0;
  private expanded = 0;
  private depth = 0;

  constructor(
    tokens: readonly Token[],
    private readonly args: readonly string[],
    private readonly sources: Sources,
    private readonly macros: Map<string, Macro>,
  ) {
    this.source = new TokenSource(tokens);
  }

  run(): Token[] {
    const out: Token[] = [];
    while (!this.source.empty) this.one(out, true);
    return out;
  }

  /** @param live false in the branch not taken, whose arguments need not be there */
  private one(out: Token[], live: boolean): void {
    const token = this.source.next();
    if (token.kind !== "operator") out.push(token);
    else if (token.text === "%(") this.conditional(out, live, token);
    else if (token.text === "@define") this.define(live, token);
    else if (live) this.substitute(out, token);
    else out.push(token);
  }

  private define(live: boolean, start: Token): void {
    const { name, macro } = readMacro(this.source, start, this.sources);
    if (!live) return;
    if (this.own.has(name))
      throw this.sources.problem("parse", `attempt to redefine macro '@${name}'`, start.position);
    this.own.add(name);
    this.macros.set(name, macro);
  }

  private conditional(out: Token[], live: boolean, start: Token): void {
    if (++this.depth > DEEPEST)
      throw this.sources.problem(
        "parse",
        `more than ${String(DEEPEST)} conditionals in one another`,
        start.position,
      );
    const condition = this.condition(start);
    const holds = live && this.holds(condition, start);
    const then = this.branch(live && holds, start);
    const otherwise = then.ended === "%:" ? this.branch(live && !holds, start) : then;
    if (otherwise.ended === "%:")
      throw this.sources.problem("parse", "invalid conditional - duplicate '%:'", start.position);
    this.depth--;
    // Not as arguments of one call: a branch can hold more than a call takes.
    if (live && holds) for (const token of then.tokens) out.push(token);
    else if (live && otherwise !== then) for (const token of otherwise.tokens) out.push(token);
  }

  private branch(live: boolean, start: Token): { readonly tokens: Token[]; readonly ended: string } {
    const tokens: Token[] = [];
    for (;;) {
      const { kind, text } = this.source.peek();
      if (kind === "end")
        throw this.sources.problem("parse", "incomplete conditional at end of file", start.position);
      if (kind === "operator" && (text === "%:" || text === "%)")) {
        this.source.next();
        return { tokens, ended: text };
      }
      this.one(tokens, live);
    }
  }

  private condition(start: Token): Token[] {
    const out: Token[] = [];
    for (;;) {
      const token = this.source.next();
      if (token.kind === "end")
        throw this.sources.problem("parse", "incomplete condition after '%('", start.position);
      if (token.kind === "operator" && token.text === "%?") return out;
      if (token.kind === "operator" && token.text === "%)") {
        throw this.sources.problem("parse", "expected '%?' marker for conditional", token.position);
      }
      out.push(token);
    }
  }

  /** `LEFT OP RIGHT`, joined by && and ||; && binds tighter. */
  private holds(condition: readonly Token[], start: Token): boolean {
    let any = false;
    let all = true;
    for (let at = 0; ; at += 4) {
      const [left, operator, right, joiner] = condition.slice(at, at + 4);
      if (left === undefined || operator === undefined || right === undefined) {
        throw this.sources.problem("parse", "incomplete condition after '%('", start.position);
      }
      all = this.compares(left, operator, right) && all;
      if (joiner?.text === "&&") continue;
      any ||= all;
      all = true;
      if (joiner === undefined) return any;
      if (joiner.text !== "||")
        throw this.sources.problem("parse", "expected '&&', '||' or '%?'", joiner.position);
    }
  }

  private compares(left: Token, operator: Token, right: Token): boolean {
    const one = this.value(left);
    const other = this.value(right);
    if (typeof one !== typeof other)
      throw this.sources.problem(
        "parse",
        `expected ${typeof one === "string" ? "string literal" : "number literal as right value"}`,
        right.position,
      );
    const order = VERSIONS.has(left.text)
      ? compareVersions(String(one), String(other))
      : one < other
        ? -1
        : one > other
          ? 1
          : 0;
    const holds = COMPARISONS.get(operator.text);
    if (holds === undefined)
      throw this.sources.problem("parse", "expected comparison operator", operator.position);
    return holds(order);
  }

  private value(token: Token): bigint | string {
    if (token.kind === "number" || token.kind === "string") return token.value;
    const known = FACTS.get(token.text);
    if (known !== undefined) return known;
    const out: Token[] = [];
    if (token.kind === "operator") this.substitute(out, token);
    const [only] = out;
    if (out.length === 1 && (only?.kind === "number" || only?.kind === "string")) return only.value;
    throw this.sources.problem(
      "parse",
      "expected 'arch', 'kernel_v', 'kernel_vr', 'systemtap_v', 'runtime', a literal or an argument",
      token.position,
    );
  }

  private substitute(out: Token[], token: Token): void {
    const { position, text } = token;
    if (text === "$#" || text === "@#") {
      out.push(
        text === "$#"
          ? { kind: "number", text, value: BigInt(this.args.length), position }
          : { kind: "string", text, value: String(this.args.length), position },
      );
      return;
    }
    const macro = text.startsWith("@") ? this.macros.get(text.slice(1)) : undefined;
    if (macro !== undefined) {
      this.expand(token, macro);
      return;
    }
    const match = /^([$@])(\d+)$/.exec(text);
    if (match === null) {
      this.refuseUnknownMacro(token);
      out.push(token);
      return;
    }
    const argument = this.args[Number(match[2]) - 1];
    if (argument === undefined)
      throw this.sources.problem(
        "parse",
        `command line argument out of range [1-${String(this.args.length)}]`,
        position,
      );
    if (match[1] === "@")
      out.push({ kind: "string", text, value: Buffer.from(argument).toString("latin1"), position });
    // An argument without quotes is text of the script.
    else
      for (const each of lex(`<argument ${text}>`, argument, this.sources))
        if (each.kind !== "end") out.push({ ...each, position });
  }

  private expand(use: Token, macro: Macro): void {
    if (++this.expansions > MOST_EXPANSIONS)
      throw this.sources.problem("parse", `macro '${use.text}' expands without end`, use.position);
    const takes = macro.parameters.length > 0;
    if (takes && this.source.peek().text !== "(")
      throw this.sources.problem("parse", "expected '(' in invocation of macro", use.position);
    const args = takes ? readArguments(this.source, use, this.sources) : [];
    this.expanded += expandedSize(macro, args);
    if (this.expanded > MOST_TOKENS) {
      const problem = `macros expand to more than ${String(MOST_TOKENS)} tokens`;
      throw this.sources.problem("parse", problem, use.position);
    }
    this.source.insert(expandMacro(use, macro, args, this.sources));
  }

  private refuseUnknownMacro({ text, position }: Token): void {
    if (!text.startsWith("@") || OPERATORS.has(text.slice(1))) return;
    const hint = similarNames(text.slice(1), [...this.macros.keys(), ...OPERATORS]);
    throw this.sources.problem("parse", `unknown statistic operator or macro ${text}`, position, hint);
  }
}

/** What the language itself writes with an `@`. */
const OPERATORS: ReadonlySet<string> = new Set([
  "count",
  "sum",
  "min",
  "max",
  "avg",
  "variance",
  "hist_log",
  "hist_linear",
  "defined",
  "entry",
  "var",
  "cast",
  "perf",
  "choose_defined",
  "const",
  "enumname",
  "probewrite",
  "kregister",
  "uregister",
  "kderef",
  "uderef",
]);

const FACTS: ReadonlyMap<string, string> = new Map([
  ["arch", "x86_64"],
  ["systemtap_v", "5.0"],
  ["runtime", "trapline"],
  ["kernel_v", release().replace(/-.*/, "")],
  ["kernel_vr", release()],
]);
const VERSIONS: ReadonlySet<string> = new Set(["systemtap_v", "kernel_v", "kernel_vr"]);

const COMPARISONS: ReadonlyMap<string, (order: number) => boolean> = new Map([
  ["==", (order) => order === 0],
  ["!=", (order) => order !== 0],
  ["<", (order) => order < 0],
  ["<=", (order) => order <= 0],
  [">", (order) => order > 0],
  [">=", (order) => order >= 0],
]);

/** By their numbers: 4.9 comes before 4.10. */
function compareVersions(one: string, other: string): number {
  return one.localeCompare(other, "en", { numeric: true });
}
