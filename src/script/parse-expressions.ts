import type { Expression } from "./ast.js";
import { KEYWORDS, type ScriptProblem, type Sources } from "./errors.js";
import type { Token } from "./lex.js";

const ASSIGNMENTS: ReadonlySet<string> = new Set([
  "=",
  "<<<",
  "+=",
  "-=",
  "*=",
  "/=",
  "%=",
  "&=",
  "|=",
  "^=",
  "<<=",
  ">>=",
  ".=",
]);
const STATISTICS: ReadonlySet<string> = new Set([
  "count",
  "sum",
  "min",
  "max",
  "avg",
  "variance",
  "hist_log",
  "hist_linear",
]);

const STEPS = { "++": 1n, "--": -1n } as const;

function isStep(text: string): text is keyof typeof STEPS {
  return text === "++" || text === "--";
}

function isSign(text: string): text is "-" | "+" | "!" | "~" {
  return ["-", "+", "!", "~"].includes(text);
}

/** Binary operators, loosest first: the precedences that SystemTap's own parser has. */
const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["|"],
  ["^"],
  ["&"],
  ["in"],
  ["<", ">", "<=", ">=", "==", "!=", "=~", "!~"],
  ["<<", ">>", ">>>"],
  ["."],
  ["+", "-"],
  ["*", "/", "%"],
];

/** Expressions, and the handling of tokens under them. */
export class ExpressionParser {
  private at = 0;

  constructor(
    private readonly tokens: readonly Token[],
    protected readonly sources: Sources,
  ) {}

  protected expression(): Expression {
    const target = this.ternary();
    const operator = this.peek();
    if (operator.kind !== "operator" || !ASSIGNMENTS.has(operator.text)) return target;
    // A context variable gets as far as pass 2, which says why not.
    if (target.kind !== "name" && target.kind !== "element" && target.kind !== "context") {
      throw this.sources.problem("parse", "Expecting lvalue for assignment", target.position);
    }
    this.advance();
    return {
      kind: "assign",
      position: operator.position,
      operator: operator.text,
      target,
      value: this.expression(),
    };
  }

  protected literal(): Expression {
    const expression = this.unary();
    const value =
      expression.kind === "unary" && expression.operator === "-" ? expression.operand : expression;
    if (value.kind !== "number" && value.kind !== "string") {
      throw this.sources.problem("parse", "expected literal string or number", expression.position);
    }
    return expression;
  }

  protected peek(ahead = 0): Token {
    // The last token is `end`, and nobody moves past it.
    return this.tokens[Math.min(this.at + ahead, this.tokens.length - 1)] as Token;
  }

  protected advance(): Token {
    const token = this.peek();
    if (token.kind !== "end") this.at++;
    return token;
  }

  protected takes(operator: string): boolean {
    const token = this.peek();
    if (token.kind !== "operator" || token.text !== operator) return false;
    this.at++;
    return true;
  }

  protected takesWord(word: string): boolean {
    const token = this.peek();
    if (token.kind !== "identifier" || token.text !== word) return false;
    this.at++;
    return true;
  }

  protected expect(operator: string): void {
    if (!this.takes(operator)) throw this.expected(`'${operator}'`);
  }

  /** A name that may be a word of the language: members of C's structures are called `next` and `in`. */
  protected anyWord(): string {
    const token = this.peek();
    if (token.kind !== "identifier") throw this.expected("identifier");
    this.at++;
    return token.text;
  }

  protected identifier(): string {
    const token = this.peek();
    if (token.kind !== "identifier" || KEYWORDS.has(token.text)) throw this.expected("identifier");
    this.at++;
    return token.text;
  }

  protected expected(what: string): ScriptProblem {
    const { kind, text, position } = this.peek();
    const embedded = kind === "operator" && text.startsWith("%{");
    return this.sources.problem(
      "parse",
      embedded ? "embedded C code is not supported: write it in the language itself" : `expected ${what}`,
      position,
    );
  }

  /** Does the token at hand follow the last one without a blank? Point names like `sys*64` are made of several. */
  protected adjoins(): boolean {
    const before = this.tokens[this.at - 1];
    const { position } = this.peek();
    return (
      before?.position.line === position.line &&
      before.position.column + before.text.length === position.column
    );
  }

  private ternary(): Expression {
    const condition = this.binary(0);
    const { position } = this.peek();
    if (!this.takes("?")) return condition;
    const then = this.expression();
    this.expect(":");
    return { kind: "ternary", position, condition, then, otherwise: this.ternary() };
  }

  private binary(level: number): Expression {
    const operators = LEVELS[level];
    if (operators === undefined) return this.unary();
    if (operators[0] === "in") return this.membership(level);
    let left = this.binary(level + 1);
    for (;;) {
      const { text, kind, position } = this.peek();
      if (kind !== "operator" || !operators.includes(text)) return left;
      this.advance();
      left = { kind: "binary", position, operator: text, left, right: this.binary(level + 1) };
    }
  }

  private membership(level: number): Expression {
    const { position } = this.peek();
    let keys: Expression[];
    if (this.takes("[")) {
      keys = this.list("]");
      if (!this.takesWord("in")) throw this.expected("'in'");
    } else {
      const key = this.binary(level + 1);
      if (!this.takesWord("in")) return key;
      keys = [key];
    }
    return { kind: "in", position, keys, array: this.identifier() };
  }

  /** `&` in front of an operand: only context variables have an address. */
  protected addressOf(): Expression {
    throw this.expected("value");
  }

  private unary(): Expression {
    const { text, kind, position } = this.peek();
    if (kind === "operator" && text === "&") return this.addressOf();
    if (kind === "operator" && isSign(text)) {
      this.advance();
      return { kind: "unary", position, operator: text, operand: this.unary() };
    }
    if (kind === "operator" && isStep(text)) {
      this.advance();
      return { kind: "increment", position, by: STEPS[text], prefix: true, target: this.unary() };
    }
    let operand = this.primary();
    for (;;) {
      const after = this.peek();
      if (after.kind !== "operator" || !isStep(after.text)) return operand;
      this.advance();
      operand = {
        kind: "increment",
        position: after.position,
        by: STEPS[after.text],
        prefix: false,
        target: operand,
      };
    }
  }

  private primary(): Expression {
    const token = this.peek();
    const { position } = token;
    switch (token.kind) {
      case "number":
        this.advance();
        return { kind: "number", position, value: token.value };
      case "string": {
        let value = "";
        // Neighbouring literals are one, as in C.
        for (let next: Token = token; next.kind === "string"; next = this.peek()) {
          value += next.value;
          this.advance();
        }
        return { kind: "string", position, value };
      }
      case "identifier":
        if (KEYWORDS.has(token.text)) throw this.expected("value");
        return this.named();
      case "operator":
        if (this.takes("(")) {
          const inner = this.expression();
          this.expect(")");
          return inner;
        }
        if (token.text.startsWith("@") || token.text.startsWith("$")) return this.special(token.text);
        throw this.expected("value");
      case "end":
        throw this.expected("value");
    }
  }

  private named(): Expression {
    const { position } = this.peek();
    const name = this.identifier();
    if (this.takes("(")) return { kind: "call", position, name, arguments: this.list(")") };
    if (this.takes("[")) return { kind: "element", position, name, keys: this.list("]") };
    return { kind: "name", position, name };
  }

  /** What begins with `$` or `@`; parse-context.ts knows all but statistics. */
  protected special(text: string): Expression {
    const { position } = this.advance();
    const name = text.slice(1);
    if (!STATISTICS.has(name)) throw this.sources.problem("parse", "expected statistic operator", position);
    this.expect("(");
    const operand = this.ternary();
    const parameters: bigint[] = [];
    while (this.takes(",")) {
      const negative = this.takes("-");
      const number = this.advance();
      if (number.kind !== "number")
        throw this.sources.problem("parse", "expected literal number", number.position);
      parameters.push(negative ? -number.value : number.value);
    }
    this.expect(")");
    return { kind: "statistic", position, name, operand, parameters };
  }

  protected list(close: string): Expression[] {
    const items: Expression[] = [];
    while (!this.takes(close)) {
      if (items.length > 0) this.expect(",");
      items.push(this.wildcard(close) ?? this.expression());
    }
    return items;
  }

  /** `*` in place of a key. */
  private wildcard(close: string): Expression | undefined {
    const { position, text } = this.peek();
    const after = this.peek(1).text;
    if (text !== "*" || close !== "]" || (after !== "," && after !== close)) return undefined;
    this.advance();
    return { kind: "wildcard", position };
  }
}
