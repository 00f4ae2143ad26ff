import type { Sources } from "./errors.js";
import type { Token } from "./lex.js";

/**
 * Script arguments (`$1`, `@1`, `$#`) and conditionals `%( … %? … %: … %)`. SystemTap language
 * reference, 2.5 and 2.6. @throws ScriptProblem
 */
export function preprocess(tokens: readonly Token[], args: readonly string[], sources: Sources): Token[] {
  return new Preprocessor(tokens, args, sources).run();
}

class Preprocessor {
  private at = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly args: readonly string[],
    private readonly sources: Sources,
  ) {}

  run(): Token[] {
    const out: Token[] = [];
    while (this.at < this.tokens.length) this.one(out, true);
    return out;
  }

  /** @param live false in the branch not taken, whose arguments need not be there */
  private one(out: Token[], live: boolean): void {
    // Callers look before they call.
    const token = this.tokens[this.at++] as Token;
    if (token.text === "%(" && token.kind === "operator") this.conditional(out, live, token);
    else out.push(live ? this.substitute(token) : token);
  }

  private conditional(out: Token[], live: boolean, start: Token): void {
    const condition = this.until(["%?"], start);
    const holds = live && this.holds(condition, start);
    const then = this.branch(live && holds, start);
    const otherwise = this.tokens[this.at - 1]?.text === "%:" ? this.branch(live && !holds, start) : [];
    if (live) out.push(...(holds ? then : otherwise));
  }

  private branch(live: boolean, start: Token): Token[] {
    const out: Token[] = [];
    for (;;) {
      const token = this.tokens[this.at];
      if (token === undefined || token.kind === "end") throw this.sources.problem("parse", "incomplete conditional at end of file", start.position);
      if (token.text === "%:" || token.text === "%)") {
        this.at++;
        return out;
      }
      this.one(out, live);
    }
  }

  private until(ends: readonly string[], start: Token): Token[] {
    const out: Token[] = [];
    for (;;) {
      const token = this.tokens[this.at];
      if (token === undefined || token.kind === "end") throw this.sources.problem("parse", "incomplete condition", start.position);
      this.at++;
      if (ends.includes(token.text)) return out;
      out.push(token);
    }
  }

  /** `LEFT OP RIGHT`, joined by && and ||, from left to right. */
  private holds(condition: readonly Token[], start: Token): boolean {
    let result: boolean | undefined;
    let joiner = "";
    for (let at = 0; at < condition.length; ) {
      const [left, operator, right] = condition.slice(at, at + 3);
      let part: boolean;
      if (left?.text === "defined" || left === undefined || operator === undefined || right === undefined) {
        throw this.sources.problem("parse", "expected a comparison in the condition", start.position);
      } else {
        part = compareValues(this.value(left), operator.text, this.value(right));
        at += 3;
      }
      result = result === undefined ? part : joiner === "&&" ? result && part : result || part;
      joiner = condition[at]?.text ?? "";
      at++;
    }
    if (result === undefined) throw this.sources.problem("parse", "empty condition", start.position);
    return result;
  }

  private value(token: Token): bigint | string {
    if (token.kind === "number") return token.value;
    if (token.kind === "string") return token.value;
    if (token.text === "$#") return BigInt(this.args.length);
    const known: Readonly<Record<string, string>> = { arch: "x86_64", systemtap_v: "5.0", runtime: "trapline" };
    const value = known[token.text];
    if (value !== undefined) return value;
    const substituted = this.substitute(token);
    if (substituted.kind === "number" || substituted.kind === "string") return substituted.value;
    throw this.sources.problem("parse", `expected 'arch', 'systemtap_v', a literal or an argument: '${token.text}'`, token.position);
  }

  private substitute(token: Token): Token {
    const { position } = token;
    if (token.kind !== "operator") return token;
    if (token.text === "$#") return { kind: "number", text: token.text, value: BigInt(this.args.length), position };
    const match = /^([$@])(\d+)$/.exec(token.text);
    if (match === null) return token;
    const argument = this.args[Number(match[2]) - 1];
    if (argument === undefined) throw this.sources.problem("parse", `command line argument out of range [1-${String(this.args.length)}]`, position);
    if (match[1] === "@") return { kind: "string", text: token.text, value: Buffer.from(argument).toString("latin1"), position };
    if (/^(0[xX][0-9A-Fa-f]+|\d+)$/.test(argument)) return { kind: "number", text: token.text, value: BigInt.asIntN(64, BigInt(argument)), position };
    return { kind: "identifier", text: argument, position };
  }
}

function compareValues(left: bigint | string, operator: string, right: bigint | string): boolean {
  const one = typeof left === typeof right ? left : left.toString();
  const other = typeof left === typeof right ? right : right.toString();
  switch (operator) {
    case "==":
      return one === other;
    case "!=":
      return one !== other;
    case "<":
      return one < other;
    case "<=":
      return one <= other;
    case ">":
      return one > other;
    default:
      return operator === ">=" && one >= other;
  }
}
