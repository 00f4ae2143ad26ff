import type {
  AliasNode,
  Block,
  ComponentNode,
  FunctionNode,
  GlobalNode,
  PhaseWord,
  PointNode,
  ProbeNode,
  Script,
  TypeName,
} from "./ast.js";
import type { Sources } from "./errors.js";
import type { Token } from "./lex.js";
import { refuseDeepNesting, tooDeep } from "./nesting.js";
import { StatementParser } from "./parse-statements.js";

const PHASES: ReadonlySet<string> = new Set(["pre", "post", "fault"]);

/** Pass 1: tokens to the script as it was written. @throws ScriptProblem */
export function parse(tokens: readonly Token[], sources: Sources): Script {
  const script = new Parser(tokens, sources).guarded();
  refuseDeepNesting(script, sources);
  return script;
}

/** Probes, aliases, globals and functions. */
class Parser extends StatementParser {
  guarded(): Script {
    try {
      return this.script();
    } catch (error) {
      // The only recursion here is ours: the stack overflowed at the token at hand.
      if (error instanceof RangeError) throw tooDeep(this.peek().position, this.sources);
      throw error;
    }
  }

  private script(): Script {
    const probes: ProbeNode[] = [];
    const aliases: AliasNode[] = [];
    const globals: GlobalNode[] = [];
    const functions: FunctionNode[] = [];
    while (this.peek().kind !== "end") {
      if (this.takes(";")) continue;
      this.takesWord("private");
      if (this.takesWord("probe")) this.probe(probes, aliases);
      else if (this.takesWord("global")) this.global(globals);
      else if (this.takesWord("function")) functions.push(this.function());
      else throw this.expected("'probe', 'global', 'private', 'function', or '%{'");
    }
    return { probes, aliases, globals, functions };
  }

  private probe(probes: ProbeNode[], aliases: AliasNode[]): void {
    const { position } = this.peek();
    const phases = this.phases();
    const first = this.point();
    const defines = this.takes("=") ? "=" : this.takes("+=") ? "+=" : undefined;
    if (defines !== undefined) {
      if (first.components.some((each) => each.argument !== undefined)) {
        throw this.sources.problem("parse", "invalid element in alias name", first.position);
      }
      const points = this.points(this.point());
      const body = this.block();
      aliases.push({
        position,
        name: first.components.map((each) => each.name),
        points,
        body,
        epilogue: defines === "+=",
      });
      return;
    }
    const points = this.points(first);
    const body: Block = this.block();
    probes.push({ position, phases, points, body });
  }

  /**
   * `pre`, `post, fault` and so on in front of the points. The words are phases only where more of
   * a point follows, so aliases may still be called like them.
   */
  private phases(): PhaseWord[] {
    const phases: PhaseWord[] = [];
    for (;;) {
      const word = this.peek();
      const next = this.peek(1);
      if (word.kind !== "identifier" || !PHASES.has(word.text)) return phases;
      if (next.kind === "identifier") {
        this.advance();
        phases.push(word.text as PhaseWord);
        return phases;
      }
      const after = this.peek(2);
      if (next.text !== "," || after.kind !== "identifier" || !PHASES.has(after.text)) return phases;
      this.advance();
      this.advance();
      phases.push(word.text as PhaseWord);
    }
  }

  private points(first: PointNode): PointNode[] {
    const points = [first];
    while (this.takes(",")) points.push(this.point());
    return points;
  }

  private point(): PointNode {
    const { position } = this.peek();
    const components: ComponentNode[] = [this.component()];
    while (this.takes(".")) components.push(this.component());
    const optional = this.takes("?");
    const sufficient = !optional && this.takes("!");
    return { position, components, optional, sufficient };
  }

  /** A name, perhaps with wildcards, perhaps with an argument. */
  private component(): ComponentNode {
    const { position } = this.peek();
    let name = "";
    for (;;) {
      const token = this.peek();
      const adjoins = name === "" || this.adjoins();
      if (!adjoins || (token.kind !== "identifier" && token.kind !== "number" && token.text !== "*")) break;
      name += token.text;
      this.advance();
    }
    if (name === "") throw this.expected("identifier or '*'");
    let argument: string | bigint | undefined;
    if (this.takes("(")) {
      argument = this.pointArgument();
      this.expect(")");
    }
    return { name, argument, position };
  }

  private pointArgument(): string | bigint {
    const negative = this.takes("-");
    const token = this.advance();
    if (token.kind === "string" && !negative) return token.value;
    if (token.kind === "number") return negative ? -token.value : token.value;
    throw this.sources.problem("parse", "expected literal string or number", token.position);
  }

  private global(globals: GlobalNode[]): void {
    do {
      const { position } = this.peek();
      const name = this.identifier();
      const wraps = this.takes("%");
      let size: bigint | undefined;
      if (this.takes("[")) {
        const token = this.advance();
        if (token.kind !== "number" || token.value <= 0n)
          throw this.sources.problem("parse", "expected literal number", token.position);
        size = token.value;
        this.expect("]");
      }
      const initial = this.takes("=") ? this.literal() : undefined;
      globals.push({ position, name, initial, size, wraps: wraps || this.takes("%") });
    } while (this.takes(","));
  }

  private function(): FunctionNode {
    const { position } = this.peek();
    const name = this.identifier();
    let returns = this.type();
    this.expect("(");
    const parameters: { name: string; type: TypeName | undefined; position: typeof position }[] = [];
    while (!this.takes(")")) {
      if (parameters.length > 0) this.expect(",");
      const at = this.peek().position;
      const parameter = this.identifier();
      if (parameters.some((each) => each.name === parameter)) {
        throw this.sources.problem("parse", "duplicate parameter names", at);
      }
      parameters.push({ name: parameter, type: this.type(), position: at });
    }
    returns ??= this.type();
    return { position, name, parameters, returns, body: this.block() };
  }

  private type(): TypeName | undefined {
    if (!this.takes(":")) return undefined;
    const token = this.advance();
    if (token.text === "long" || token.text === "string") return token.text;
    throw this.sources.problem("parse", "expected 'string' or 'long'", token.position);
  }
}
