import { INTRINSICS } from "../ir/intrinsics.js";
import type {
  Arithmetic,
  Comparison,
  Expression,
  HistogramRequest,
  Place,
  Slice,
  StatisticOperator,
  ValueType,
} from "../ir/ir.js";
import { parseRegex, RegexProblem } from "../ir/regex.js";
import { ScriptError } from "../runtime/errors.js";
import { Format } from "../runtime/format.js";
import type * as ast from "./ast.js";
import { similarNames } from "./errors.js";
import { type EntryValues, lowerResolved } from "./lower-resolved.js";
import { known, type Scope, UNKNOWN, VariableLowering } from "./lower-variables.js";
import type { Position } from "./position.js";
import type { FunctionSymbol, Variable } from "./scope.js";

const COMPARISONS: ReadonlySet<string> = new Set(["<", "<=", ">", ">=", "==", "!="]);
/** A member of the print family, by what its name says. */
interface Printer {
  /** `s…`: gives the text, prints nothing. */
  readonly returns: boolean;
  /** `…f`. */
  readonly format: boolean;
  /** `…d`: the first argument stands between the others. */
  readonly delimiter: boolean;
  /** `…ln`. */
  readonly newline: boolean;
}

export const PRINTERS: ReadonlyMap<string, Printer> = new Map(
  ["", "s"].flatMap((prefix) =>
    ["", "ln", "f", "d", "dln"].map((suffix): [string, Printer] => [
      `${prefix}print${suffix}`,
      {
        returns: prefix === "s",
        format: suffix === "f",
        delimiter: suffix.startsWith("d"),
        newline: suffix.endsWith("ln"),
      },
    ]),
  ),
);

/** Finds types and makes IR of expressions: pass 2 for one body. Runs in rounds until no type changes. */
export class ExpressionLowering extends VariableLowering {
  /** @param entry takes what is evaluated at a function's entry; undefined where there is no such moment */
  constructor(
    scope: Scope,
    locals: Map<string, Variable>,
    private readonly entry: EntryValues | undefined,
  ) {
    super(scope, locals);
  }

  /** @param expected type that the surroundings want; undefined where they do not care */
  protected expression(node: ast.Expression, expected?: ValueType): Expression {
    const lowered = this.anyExpression(node, expected);
    if (lowered.type === "void" && this.scope.final) {
      throw this.problem("unresolved type (the function returns no value)", node.position);
    }
    if (lowered.type === "statistic") {
      throw this.problem(
        "a statistic has no value: read it by @count, @sum, @min, @max, @avg or @variance",
        node.position,
      );
    }
    return lowered;
  }

  /** As {@link expression}, also for calls of functions that return nothing. */
  protected anyExpression(node: ast.Expression, expected?: ValueType): Expression {
    switch (node.kind) {
      case "number":
        this.agree("long", expected, node.position);
        return { kind: "long", type: "long", value: node.value };
      case "string":
        this.agree("string", expected, node.position);
        return { kind: "string", type: "string", value: node.value.slice(0, this.scope.longestString) };
      case "name":
      case "element":
        return this.read(node, expected);
      case "call":
        return this.call(node, expected);
      case "unary":
        return this.unary(node, expected);
      case "increment":
        this.agree("long", expected, node.position);
        return {
          kind: "update",
          type: "long",
          place: this.target(node.target, "long"),
          operator: "+",
          value: { kind: "long", type: "long", value: node.by },
          old: !node.prefix,
          where: this.near(node),
        };
      case "binary":
        return this.binary(node, expected);
      case "assign":
        return this.assign(node, expected);
      case "ternary": {
        const condition = this.expression(node.condition, "long");
        let then = this.expression(node.then, expected);
        const otherwise = this.expression(node.otherwise, expected ?? known(then));
        if (known(otherwise) !== known(then)) then = this.expression(node.then, known(otherwise));
        return { kind: "choose", type: then.type, condition, then, otherwise };
      }
      case "in":
        this.agree("long", expected, node.position);
        return this.has(node);
      case "wildcard":
        throw this.problem("wildcard not allowed in array index", node.position);
      case "statistic":
        return this.statistic(node, expected);
      case "register":
      case "load":
      case "bits":
      case "static-address":
      case "show": {
        const lowered = lowerResolved(node, (part, type) => this.expression(part, type), this.near(node));
        this.agree(lowered.type, expected, node.position);
        return lowered;
      }
      case "entry":
        return this.atEntry(node, expected);
      case "context":
      case "defined":
        // Resolved before, or refused.
        throw this.problem("unresolved target-symbol expression", node.position);
    }
  }

  private atEntry(node: Extract<ast.Expression, { kind: "entry" }>, expected?: ValueType): Expression {
    const { entry } = this;
    if (entry === undefined)
      throw this.problem("@entry is only valid in probes on the return of functions", node.position);
    // The handler's variables begin when it does, and that is when the function returns.
    const locals = new Map<string, Variable>();
    const value = new ExpressionLowering(this.scope, locals, undefined).expression(node.operand, expected);
    const [local] = locals.values();
    if (local !== undefined)
      throw this.problem(
        `'${local.name}' has no value at the entry of the function, which is when this is evaluated; @entry a part without it`,
        local.position,
      );
    const index = this.scope.final ? entry.add(value) : 0;
    return { kind: "entry-value", type: value.type, index, where: this.near(node) };
  }

  /** A place that gets a value. */
  protected target(node: ast.Expression, expected?: ValueType): Place {
    if (node.kind === "name" || node.kind === "element") this.assigned(node.name, node.position);
    return this.place(node, expected);
  }

  protected place(node: ast.Expression, expected?: ValueType): Place {
    if (node.kind === "name") return this.scalar(node, expected);
    if (node.kind !== "element") throw this.problem("expected a variable", node.position);
    const variable = this.variable(node.name, node.position);
    const keys = this.keys(node.name, node.keys, node.position);
    this.note(variable, expected, node.position);
    return { kind: "element", array: node.name, keys, type: this.typeOf(variable), where: this.near(node) };
  }

  private has(node: Extract<ast.Expression, { kind: "in" }>): Expression {
    const { array, keys, position } = node;
    if (!isSlice(keys)) return { kind: "has", type: "long", array, keys: this.keys(array, keys, position) };
    return { kind: "has-slice", type: "long", array, slice: this.slice(array, keys, position) };
  }

  protected keys(array: string, nodes: readonly ast.Expression[], position: Position): Expression[] {
    return this.slice(array, nodes, position).map((key, index) => {
      if (key !== undefined) return key;
      throw this.problem("wildcard not allowed in array index", nodes[index]?.position ?? position);
    });
  }

  /** Keys of an array, undefined where a wildcard stands. */
  protected slice(array: string, nodes: readonly ast.Expression[], position: Position): Slice {
    const variable = this.variable(array, position);
    const arity = String(nodes.length);
    if (!variable.global) {
      const problem = `unresolved arity-${arity} global array ${array}, missing global declaration?`;
      throw this.problem(problem, position);
    }
    if (variable.keys === undefined) {
      variable.keys = nodes.map(() => undefined);
      this.scope.changed = true;
    }
    const types = variable.keys;
    if (types.length !== nodes.length) {
      throw this.problem(`inconsistent arity (${arity} vs ${String(types.length)})`, position);
    }
    return nodes.map((node, index) => {
      if (node.kind === "wildcard") return undefined;
      const key = this.expression(node, types[index]);
      if (types[index] === undefined && known(key) !== undefined) {
        types[index] = known(key);
        this.scope.changed = true;
      }
      return key;
    });
  }

  private read(
    node: Extract<ast.Expression, { kind: "name" | "element" }>,
    expected?: ValueType,
  ): Expression {
    if (node.kind === "name" && !this.locals.has(node.name) && !this.scope.globals.has(node.name)) {
      // A function without parameters may be written without parentheses? No: SystemTap takes it for a local.
      return this.scalar(node, expected);
    }
    return this.place(node, expected);
  }

  private scalar(node: Extract<ast.Expression, { kind: "name" }>, expected?: ValueType): Place {
    const variable = this.variable(node.name, node.position);
    if (variable.keys !== undefined) {
      throw this.problem(`inconsistent arity (0 vs ${String(variable.keys.length)})`, node.position);
    }
    this.note(variable, expected, node.position);
    return { kind: variable.global ? "global" : "local", name: node.name, type: this.typeOf(variable) };
  }

  private unary(node: Extract<ast.Expression, { kind: "unary" }>, expected?: ValueType): Expression {
    this.agree("long", expected, node.position);
    const operand = this.expression(node.operand, "long");
    if (node.operator === "+") return operand;
    const kind = node.operator === "-" ? "negate" : node.operator === "!" ? "not" : "complement";
    return { kind, type: "long", operand };
  }

  private binary(node: Extract<ast.Expression, { kind: "binary" }>, expected?: ValueType): Expression {
    const { operator } = node;
    if (operator === ".") {
      this.agree("string", expected, node.position);
      return {
        kind: "concatenate",
        type: "string",
        left: this.expression(node.left, "string"),
        right: this.expression(node.right, "string"),
      };
    }
    this.agree("long", expected, node.position);
    if (operator === "=~" || operator === "!~") {
      return {
        kind: "match",
        type: "long",
        operand: this.expression(node.left, "string"),
        pattern: this.pattern(node.right),
        negated: operator === "!~",
      };
    }
    if (operator === "&&" || operator === "||") {
      return {
        kind: "logic",
        type: "long",
        operator,
        left: this.expression(node.left, "long"),
        right: this.expression(node.right, "long"),
      };
    }
    if (COMPARISONS.has(operator)) {
      let left = this.expression(node.left);
      const right = this.expression(node.right, known(left));
      if (known(left) === undefined) left = this.expression(node.left, known(right));
      return { kind: "compare", type: "long", operator: operator as Comparison, left, right };
    }
    return {
      kind: "arithmetic",
      type: "long",
      operator: operator as Arithmetic,
      left: this.expression(node.left, "long"),
      right: this.expression(node.right, "long"),
      where: this.near(node),
    };
  }

  private pattern(node: ast.Expression): string {
    if (node.kind !== "string") throw this.problem("expected literal string", node.position);
    try {
      parseRegex(node.value);
      return node.value;
    } catch (error) {
      if (!(error instanceof RegexProblem)) throw error;
      const at = error.position === undefined ? "" : ` (at position ${error.position})`;
      throw this.problem(`regex compilation error${at}: ${error.message}`, node.position);
    }
  }

  private assign(node: Extract<ast.Expression, { kind: "assign" }>, expected?: ValueType): Expression {
    const { operator } = node;
    if (operator === "<<<")
      throw this.problem("'<<<' is a statement, its value cannot be used", node.position);
    if (operator === "=") {
      const before = this.target(node.target, expected);
      const value = this.expression(node.value, known(before));
      const place = this.place(node.target, known(value));
      if (place.type === "statistic") throw this.problem("statistics take '<<<'", node.position);
      return { kind: "assign", type: place.type, place, value };
    }
    const type: ValueType = operator === ".=" ? "string" : "long";
    this.agree(type, expected, node.position);
    const place = this.target(node.target, type);
    const value = this.expression(node.value, type);
    return {
      kind: "update",
      type,
      place,
      operator: operator.slice(0, -1) as Arithmetic | ".",
      value,
      old: false,
      where: this.near(node),
    };
  }

  private statistic(node: Extract<ast.Expression, { kind: "statistic" }>, expected?: ValueType): Expression {
    if (node.name.startsWith("hist_")) throw this.problem(`@${node.name} can only be printed`, node.position);
    this.agree("long", expected, node.position);
    const operand = this.place(node.operand, "statistic");
    if (node.name === "variance") this.statisticOf(operand).variance = true;
    return {
      kind: "statistic",
      type: "long",
      field: node.name as StatisticOperator,
      operand,
      where: this.near(node),
    };
  }

  /** What the script asks of a statistic, to be kept for it. */
  protected statisticOf(operand: Place): { variance: boolean; histogram: HistogramRequest | undefined } {
    const name = operand.kind === "element" ? operand.array : operand.name;
    let asked = this.scope.statistics.get(name);
    if (asked === undefined) {
      asked = { variance: false, histogram: undefined };
      this.scope.statistics.set(name, asked);
    }
    return asked;
  }

  private call(node: Extract<ast.Expression, { kind: "call" }>, expected?: ValueType): Expression {
    const formatter = PRINTERS.get(node.name);
    if (formatter !== undefined) {
      if (!formatter.returns) throw this.problem(`${node.name} has no value`, node.position);
      this.agree("string", expected, node.position);
      return this.formatted(node);
    }
    const defined = this.scope.functions.get(node.name);
    if (defined !== undefined) return this.callFunction(node, defined, expected);
    const intrinsic = Object.hasOwn(INTRINSICS, node.name) ? INTRINSICS[node.name] : undefined;
    if (intrinsic === undefined) {
      const all = [...this.scope.functions.keys(), ...Object.keys(INTRINSICS), ...PRINTERS.keys()];
      throw this.problem(`unresolved function${similarNames(node.name, all)}`, node.position);
    }
    if (expected !== undefined) this.agree(intrinsic.returns, expected, node.position);
    const { parameters, optional = 0 } = intrinsic;
    this.arity(node, parameters.length - optional, parameters.length);
    const values = node.arguments.map((argument, index) => this.expression(argument, parameters[index]));
    return {
      kind: "intrinsic",
      type: intrinsic.returns,
      name: node.name,
      arguments: values,
      where: this.near(node),
    };
  }

  private callFunction(
    node: Extract<ast.Expression, { kind: "call" }>,
    callee: FunctionSymbol,
    expected?: ValueType,
  ): Expression {
    this.arity(node, callee.parameters.length, callee.parameters.length);
    const values = node.arguments.map((argument, index) => {
      // The arity was just checked.
      const parameter = callee.parameters[index] as Variable;
      const value = this.expression(argument, parameter.type);
      this.note(parameter, known(value), argument.position);
      return value;
    });
    if (expected !== undefined) {
      if (callee.returns === undefined && callee.returnsValue) {
        callee.returns = expected;
        this.scope.changed = true;
      } else if (callee.returns !== undefined) this.agree(callee.returns, expected, node.position);
    }
    const type = callee.returnsValue ? (callee.returns ?? (this.scope.final ? "long" : UNKNOWN)) : "void";
    return { kind: "call", type, function: node.name, arguments: values, where: this.near(node) };
  }

  private arity(node: Extract<ast.Expression, { kind: "call" }>, least: number, most: number): void {
    const count = node.arguments.length;
    if (count < least || count > most) {
      const takes = least === most ? String(most) : `${String(least)} to ${String(most)}`;
      throw this.problem(`arity mismatch found (function '${node.name}' takes ${takes} args)`, node.position);
    }
  }

  /** The text that a member of the print family makes. */
  protected formatted(node: Extract<ast.Expression, { kind: "call" }>): Expression {
    // Only called for names of the table.
    const family = PRINTERS.get(node.name) as Printer;
    const [first, ...rest] = node.arguments;
    if (family.format) {
      if (first?.kind !== "string")
        throw this.problem(`expected literal format string in ${node.name}`, node.position);
      return this.checkedFormat(node, first.value, rest);
    }
    const items = family.delimiter ? rest : node.arguments;
    if (family.delimiter && first?.kind !== "string") {
      throw this.problem(`expected literal delimiter string in ${node.name}`, node.position);
    }
    const values = items.map((item) => this.printed(item));
    const delimiter = family.delimiter && first?.kind === "string" ? first.value.replaceAll("%", "%%") : "";
    const format =
      values.map((value) => (value.type === "string" ? "%s" : "%d")).join(delimiter) +
      (family.newline ? "\n" : "");
    return { kind: "format", type: "string", format, arguments: values, where: this.near(node) };
  }

  /** Literals that go straight to the output are not cut. */
  private printed(node: ast.Expression, expected?: ValueType): Expression {
    const lowered = this.expression(node, expected);
    return node.kind === "string" ? { kind: "string", type: "string", value: node.value } : lowered;
  }

  private checkedFormat(
    node: Extract<ast.Expression, { kind: "call" }>,
    text: string,
    items: readonly ast.Expression[],
  ): Expression {
    const wanted = this.argumentTypes(text, node.position);
    if (items.length !== wanted.length) {
      throw this.problem("Wrong number of args to formatted print operator", node.position);
    }
    const values = items.map((item, index) => this.printed(item, wanted[index]));
    return { kind: "format", type: "string", format: text, arguments: values, where: this.near(node) };
  }

  private argumentTypes(text: string, position: Position): readonly ValueType[] {
    try {
      return new Format(text).argumentTypes;
    } catch (error) {
      if (error instanceof ScriptError) throw this.scope.sources.problem("parse", error.message, position);
      throw error;
    }
  }
}

/** Does a wildcard stand among the keys? */
export function isSlice(keys: readonly ast.Expression[]): boolean {
  return keys.some((key) => key.kind === "wildcard");
}
