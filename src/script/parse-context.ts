import type { ContextBase, ContextNode, ContextStep, Expression } from "./ast.js";
import type { Token } from "./lex.js";
import { ExpressionParser } from "./parse-expressions.js";
import type { Position } from "./position.js";

/** Without `$` in front and behind. */
const LISTS = { $$vars: "vars", $$parms: "parms", $$locals: "locals", $$return: "return" } as const;

function isList(text: string): text is keyof typeof LISTS {
  return Object.hasOwn(LISTS, text);
}

/** What SystemTap has and we do not, each with the reason. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ["@probewrite", "@probewrite: context variables cannot be written, there is no guru mode"],
  ["@perf", "@perf: performance counters of the processor are not supported"],
  ["@const", "@const: constants of C's preprocessor are in no symbol table; write the number"],
  ["@kregister", "@kregister: use register(), which takes a register by its name"],
  ["@uregister", "@uregister: use u_register(), which takes a register by its name"],
  ["@kderef", "@kderef: use kernel_int() and its like"],
  ["@uderef", "@uderef: use user_int() and its like"],
  ["@enumname", "@enumname: names of enumeration constants are not supported"],
]);

/** Members and elements behind one variable: each is a read of the target in one another. */
const MOST_STEPS = 100;

/** Context variables and what is written like them; SystemTap's language reference, chapter 4. */
export class ContextParser extends ExpressionParser {
  protected override special(text: string): Expression {
    const token = this.peek();
    const { position } = token;
    const refused = REFUSED.get(text);
    if (refused !== undefined) throw this.sources.problem("parse", refused, position);
    switch (text) {
      case "@defined":
      case "@entry":
        this.advance();
        this.expect("(");
        return { kind: text === "@entry" ? "entry" : "defined", position, operand: this.closed() };
      case "@choose_defined":
        return this.chooseDefined(position);
      case "@var":
        this.advance();
        return this.context(position, this.static(), 0);
      case "@cast":
        this.advance();
        return this.context(position, this.cast(), 0);
      default:
        return text.startsWith("$") ? this.variable(token) : super.special(text);
    }
  }

  protected override addressOf(): Expression {
    const { position } = this.advance();
    const { kind, text } = this.peek();
    if (kind !== "operator" || !(text.startsWith("$") || text === "@var" || text === "@cast"))
      throw this.expected("'$' or '@' behind '&'");
    const node = this.special(text);
    if (node.kind !== "context")
      throw this.sources.problem("parse", "expected '$' or '@' behind '&'", position);
    if (node.shown > 0)
      throw this.sources.problem("parse", "cannot take address of pretty-printed variable", position);
    return { ...node, position, address: true };
  }

  private closed(): Expression {
    const operand = this.expression();
    this.expect(")");
    return operand;
  }

  /** SystemTap's macro of the library: `@choose_defined(a, b)`. */
  private chooseDefined(position: Position): Expression {
    this.advance();
    this.expect("(");
    const then = this.expression();
    this.expect(",");
    const otherwise = this.closed();
    return {
      kind: "ternary",
      position,
      condition: { kind: "defined", position, operand: then },
      then,
      otherwise,
    };
  }

  private variable({ text, position }: Token): Expression {
    const suffix = /[^$](\$\$?)$/.exec(text)?.[1] ?? "";
    const name = text.slice(0, text.length - suffix.length);
    if (!/[A-Za-z_]/.test(name)) throw this.expected("value");
    this.advance();
    const shown = suffix.length as 0 | 1 | 2;
    if (isList(name)) return this.contextList(position, { kind: "list", name: LISTS[name] }, shown);
    if (name.startsWith("$$"))
      throw this.sources.problem("parse", `unknown list of context variables ${name}`, position);
    return this.context(position, { kind: "variable", name: name.slice(1) }, shown);
  }

  private contextList(position: Position, base: ContextBase, shown: 0 | 1 | 2): Expression {
    const { text } = this.peek();
    if (text === "->" || text === "[")
      throw this.sources.problem("parse", "a list of context variables has no members", this.peek().position);
    return { kind: "context", position, base, steps: [], address: false, shown };
  }

  private static(): ContextBase {
    this.expect("(");
    const [name = "", file] = this.text().split("@");
    const module = this.takes(",") ? this.text() : undefined;
    this.expect(")");
    return { kind: "static", name, file, module };
  }

  private cast(): ContextBase {
    this.expect("(");
    const operand = this.expression();
    this.expect(",");
    const type = this.text();
    const module = this.takes(",") ? this.text() : undefined;
    this.expect(")");
    return { kind: "cast", operand, type, module };
  }

  private text(): string {
    const token = this.peek();
    if (token.kind !== "string" || token.value === "") throw this.expected("non-empty string");
    this.advance();
    return token.value;
  }

  /** Its members and elements, and the `$` behind them. */
  private context(position: Position, base: ContextBase, suffix: 0 | 1 | 2): ContextNode {
    const steps: ContextStep[] = [];
    let shown = suffix;
    while (shown === 0) {
      const at = this.peek().position;
      if (steps.length > MOST_STEPS) {
        const problem = `more than ${String(MOST_STEPS)} members and elements behind one variable`;
        throw this.sources.problem("parse", problem, at);
      }
      if (this.takes("->")) {
        // `$x->$`: what the pointer points to.
        if (/^\$\$?$/.test(this.peek().text)) shown = this.shown();
        else steps.push({ kind: "member", position: at, name: this.anyWord() });
      } else if (this.takes("[")) {
        const index = this.expression();
        this.expect("]");
        steps.push({ kind: "index", position: at, index });
      } else break;
    }
    if (shown === 0) shown = this.shown();
    const { text } = this.peek();
    if (shown > 0 && (text === "->" || text === "["))
      throw this.sources.problem(
        "parse",
        "-> and [ are not accepted for a pretty-printing variable",
        this.peek().position,
      );
    return { kind: "context", position, base, steps, address: false, shown };
  }

  private shown(): 0 | 1 | 2 {
    if (this.takes("$$")) return 2;
    return this.takes("$") ? 1 : 0;
  }
}
