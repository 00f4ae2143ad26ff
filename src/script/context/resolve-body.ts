import type * as ast from "../ast.js";
import { number } from "./nodes.js";
import type { ContextResolver } from "./resolver.js";
import { Unresolved } from "./unresolved.js";

type Part = ast.Expression | ast.Statement;

/** Does a body have anything that depends on the code that it is for? */
export function usesContext(code: unknown): boolean {
  const left: unknown[] = [code];
  for (let part = left.pop(); part !== undefined; part = left.pop()) {
    if (typeof part !== "object" || part === null) continue;
    if ("kind" in part && (part.kind === "context" || part.kind === "entry" || part.kind === "defined"))
      return true;
    for (const each of Object.values(part)) if (typeof each === "object" && each !== null) left.push(each);
  }
  return false;
}

/**
 * A body with its context variables resolved for one code. What `@defined` decides is decided, and the
 * branch that is not taken is gone, whatever stands in it.
 *
 * @throws Unresolved
 */
export function resolveBody<T extends Part>(body: T, resolver: ContextResolver): T {
  return new BodyResolver(resolver).part(body);
}

class BodyResolver {
  /** The numbers that came of `@defined`: only what they decide is taken away. */
  private readonly decided = new Set<ast.Expression>();

  constructor(private readonly resolver: ContextResolver) {}

  part<T extends Part>(node: T): T {
    // Each kind gives way to one of the same family: an expression to an expression.
    return this.any(node) as T;
  }

  private any(node: Part): Part {
    if (node.kind === "if" || node.kind === "ternary") return this.choice(node);
    if (node.kind === "context" || node.kind === "entry") return this.variableOrItsLike(node);
    if (node.kind === "defined") return this.decide(this.isDefined(node.operand), node);
    if (node.kind === "unary") {
      const operand = this.part(node.operand);
      const holds = node.operator === "!" ? this.decision(operand) : undefined;
      return holds === undefined ? { ...node, operand } : this.decide(!holds, node);
    }
    if (node.kind === "binary" && (node.operator === "&&" || node.operator === "||"))
      return this.logic(node, node.operator);
    if ((node.kind === "assign" || node.kind === "increment") && node.target.kind === "context")
      throw new Unresolved("write to target variable not permitted: there is no guru mode", node.position);
    return this.parts(node);
  }

  private variableOrItsLike(node: Extract<ast.Expression, { kind: "context" | "entry" }>): ast.Expression {
    try {
      return this.variable(node);
    } catch (error) {
      if (!this.resolver.lenient || !(error instanceof Unresolved)) throw error;
      const { position } = node;
      const isText = node.kind === "context" && (node.shown > 0 || node.base.kind === "list");
      return isText ? { kind: "string", position, value: "" } : number(0n, position);
    }
  }

  private variable(node: Extract<ast.Expression, { kind: "context" | "entry" }>): ast.Expression {
    const { resolver } = this;
    if (node.kind === "context")
      return resolver.isSaved(node) ? this.atEntry(node, node) : resolver.expression(this.parts(node), node);
    if (resolver.moment !== "return")
      throw new Unresolved("@entry is only valid in probes on the return of functions", node.position);
    return this.atEntry(node, node.operand);
  }

  private choice(node: Extract<Part, { kind: "if" | "ternary" }>): Part {
    const condition = this.part(node.condition);
    const holds = this.decision(condition);
    if (holds === undefined) return { ...this.parts({ ...node, condition: EMPTY }), condition };
    if (holds) return this.part(node.then);
    return node.otherwise === undefined
      ? { kind: "empty", position: node.position }
      : this.part<Part>(node.otherwise);
  }

  private logic(node: Extract<ast.Expression, { kind: "binary" }>, operator: "&&" | "||"): ast.Expression {
    const left = this.part(node.left);
    const holds = this.decision(left);
    if (holds === (operator === "||")) return this.decide(holds, node);
    const right = this.part(node.right);
    const other = this.decision(right);
    if (holds !== undefined && other !== undefined) return this.decide(other, node);
    return { ...node, left, right };
  }

  private atEntry({ position }: ast.Expression, operand: ast.Expression): ast.Expression {
    const entry = this.resolver.atEntry();
    const resolved = resolveBody(operand, entry);
    this.resolver.uses.push(...entry.uses);
    return { kind: "entry", position, operand: resolved };
  }

  private isDefined(operand: ast.Expression): boolean {
    const before = this.resolver.uses.length;
    try {
      this.part(operand);
      return true;
    } catch (error) {
      if (error instanceof Unresolved) return false;
      throw error;
    } finally {
      this.resolver.uses.length = before;
    }
  }

  private decide(holds: boolean, { position }: ast.Expression): ast.Expression {
    const node = number(holds ? 1n : 0n, position);
    this.decided.add(node);
    return node;
  }

  /** What a condition that `@defined` decides comes to. */
  private decision(node: ast.Expression): boolean | undefined {
    return node.kind === "number" && this.decided.has(node) ? node.value !== 0n : undefined;
  }

  /** A node with all that is in it resolved. */
  private parts<T extends object>(node: T): T {
    return Object.fromEntries(Object.entries(node).map(([name, part]) => [name, this.inside(part)])) as T;
  }

  private inside(part: unknown): unknown {
    if (typeof part !== "object" || part === null) return part;
    if (Array.isArray(part)) return part.map((each) => this.inside(each));
    if ("kind" in part && "position" in part && !isStep(part)) return this.any(part as Part);
    return "line" in part ? part : this.parts(part);
  }
}

/** Stands where a condition was that is resolved already. */
const EMPTY: ast.Expression = {
  kind: "number",
  position: { file: "", line: 0, column: 0 },
  value: 0n,
};

/** Members and elements behind a context variable: only the index of one is an expression. */
function isStep(part: object): boolean {
  return "kind" in part && (part.kind === "member" || part.kind === "index");
}
