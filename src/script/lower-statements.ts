import type {
  Action,
  Expression,
  HistogramRequest,
  Place,
  Statement,
  StatisticOperator,
  ValueType,
} from "../ir/ir.js";
import { ScriptError } from "../runtime/errors.js";
import { linearShape } from "../runtime/histograms.js";
import type * as ast from "./ast.js";
import { ExpressionLowering, isSlice, PRINTERS } from "./lower-expressions.js";
import type { EntryValues } from "./lower-resolved.js";
import { known, type Scope } from "./lower-variables.js";
import type { Position } from "./position.js";
import type { FunctionSymbol, Variable } from "./scope.js";

/** Makes IR of the statements of one body. */
export class BodyLowering extends ExpressionLowering {
  private depth = 0;

  /**
   * @param inside the function whose body it is; undefined for a probe's
   * @param entry see {@link ExpressionLowering}
   */
  constructor(
    scope: Scope,
    locals: Map<string, Variable>,
    private readonly inside: FunctionSymbol | undefined,
    entry?: EntryValues,
  ) {
    super(scope, locals, entry);
  }

  body(block: ast.Block): Statement[] {
    return block.statements.flatMap((statement) => this.statement(statement));
  }

  private statement(node: ast.Statement): Statement[] {
    if (node.kind === "block") return this.body(node);
    const where = this.near(node.kind === "expression" ? node.expression : node);
    return this.actions(node).map((action) => ({ ...action, where }));
  }

  private actions(node: Exclude<ast.Statement, ast.Block>): Action[] {
    switch (node.kind) {
      case "empty":
        return [];
      case "expression":
        return this.evaluate(node.expression);
      case "if":
        return [
          {
            kind: "if",
            condition: this.expression(node.condition, "long"),
            then: this.statement(node.then),
            otherwise: node.otherwise === undefined ? [] : this.statement(node.otherwise),
          },
        ];
      case "for":
        return [
          {
            kind: "loop",
            initial: this.part(node.initial),
            condition: node.condition === undefined ? undefined : this.expression(node.condition, "long"),
            step: this.part(node.step),
            body: this.loopBody(node.body),
          },
        ];
      case "foreach":
        return [this.foreach(node)];
      case "break":
      case "continue":
        if (this.depth === 0) throw this.problem(`cannot '${node.kind}' outside loop`, node.position);
        return [{ kind: node.kind }];
      case "next":
        return [{ kind: "next" }];
      case "return":
        return [this.return(node)];
      case "delete":
        return [this.delete(node)];
      case "try": {
        const message =
          node.message === undefined ? undefined : this.taker(node.message, "string", node.position);
        return [
          {
            kind: "fence",
            body: this.statement(node.body),
            message,
            handler: this.statement(node.handler),
          },
        ];
      }
    }
  }

  private loopBody(node: ast.Statement): Statement[] {
    this.depth++;
    try {
      return this.statement(node);
    } finally {
      this.depth--;
    }
  }

  /** The first or last part of a `for`. */
  private part(node: ast.Expression | undefined): Statement[] {
    return node === undefined
      ? []
      : this.statement({ kind: "expression", position: node.position, expression: node });
  }

  private evaluate(node: ast.Expression): Action[] {
    if (node.kind === "call" && PRINTERS.get(node.name)?.returns === false) return this.print(node);
    if (node.kind === "assign" && node.operator === "<<<") {
      const place = this.target(node.target, "statistic");
      return [{ kind: "aggregate", place, value: this.expression(node.value, "long") }];
    }
    return [{ kind: "evaluate", expression: this.anyExpression(node) }];
  }

  private print(node: Extract<ast.Expression, { kind: "call" }>): Action[] {
    const [only] = node.arguments;
    if (only?.kind === "statistic" && only.name.startsWith("hist_") && node.arguments.length === 1) {
      const operand = this.place(only.operand, "statistic");
      this.askHistogram(only, operand);
      const print: Action = { kind: "print-histogram", operand };
      const newline: Action = { kind: "print", text: { kind: "string", type: "string", value: "\n" } };
      return node.name === "println" ? [print, newline] : [print];
    }
    return [{ kind: "print", text: this.formatted(node) }];
  }

  /** A statistic has one shape of histogram at most, as in SystemTap. */
  private askHistogram(node: Extract<ast.Expression, { kind: "statistic" }>, operand: Place): void {
    const wanted = this.shape(node);
    const asked = this.statisticOf(operand);
    if (asked.histogram !== undefined && !same(asked.histogram, wanted)) {
      throw this.problem("inconsistent histogram parameters of one statistic", node.position);
    }
    asked.histogram = wanted;
  }

  private shape(node: Extract<ast.Expression, { kind: "statistic" }>): HistogramRequest {
    if (node.name === "hist_log") return { kind: "log" };
    const [low, high, width] = node.parameters;
    if (low === undefined || high === undefined || width === undefined || node.parameters.length !== 3) {
      throw this.scope.sources.problem("parse", "hist_linear takes low, high and interval", node.position);
    }
    try {
      linearShape(Number(low), Number(high), Number(width));
    } catch (error) {
      if (error instanceof ScriptError)
        throw this.scope.sources.problem("parse", error.message, node.position);
      throw error;
    }
    return { kind: "linear", low: Number(low), high: Number(high), width: Number(width) };
  }

  /** A variable that a statement itself gives its value: a key of `foreach`, the message of `catch`. */
  private taker(name: string, type: ValueType | undefined, position: Position): Place {
    this.assigned(name, position);
    return this.place({ kind: "name", name, position }, type);
  }

  private foreach(node: ast.ForeachNode): Action {
    const array = this.scope.globals.get(node.array);
    if (array === undefined) throw this.problem("unresolved global array", node.position);
    if (array.keys === undefined) {
      array.keys = node.keys.map(() => undefined);
      this.scope.changed = true;
    }
    if (array.keys.length !== node.keys.length) {
      throw this.problem(
        `inconsistent arity (${String(node.keys.length)} vs ${String(array.keys.length)})`,
        node.position,
      );
    }
    const types = array.keys;
    const keys = node.keys.map((key, index) => this.taker(key, types[index], node.position));
    const type = array.type === "statistic" ? "long" : array.type;
    const value = node.value === undefined ? undefined : this.taker(node.value, type, node.position);
    return {
      kind: "foreach",
      array: node.array,
      keys,
      value,
      by: node.sortBy,
      descending: node.descending,
      field: node.statistic as StatisticOperator | undefined,
      slice: node.slice.length === 0 ? [] : this.slice(node.array, node.slice, node.position),
      limit: node.limit === undefined ? undefined : this.expression(node.limit, "long"),
      body: this.loopBody(node.body),
    };
  }

  private return(node: Extract<ast.Statement, { kind: "return" }>): Action {
    const { inside } = this;
    if (inside === undefined) throw this.problem("found 'return' not in function context", node.position);
    if (node.value === undefined) return { kind: "return", value: undefined };
    inside.returnsValue = true;
    const value: Expression = this.expression(node.value, inside.returns);
    const type: ValueType | undefined = known(value);
    if (inside.returns === undefined && type !== undefined) {
      inside.returns = type;
      this.scope.changed = true;
    }
    return { kind: "return", value };
  }

  private delete(node: Extract<ast.Statement, { kind: "delete" }>): Action {
    const { target } = node;
    if (target.kind === "element") {
      const { name: array, keys, position } = target;
      if (isSlice(keys)) return { kind: "delete-slice", array, slice: this.slice(array, keys, position) };
      return { kind: "delete-element", array, keys: this.keys(array, keys, position) };
    }
    if (target.kind !== "name") throw this.problem("invalid operand of delete", node.position);
    const variable = this.variable(target.name, target.position);
    if (variable.global) return { kind: "clear", global: target.name };
    return { kind: "reset-local", name: target.name, type: this.typeOf(variable) };
  }
}

function same(one: HistogramRequest, other: HistogramRequest): boolean {
  if (one.kind === "log" || other.kind === "log") return one.kind === other.kind;
  return one.low === other.low && one.high === other.high && one.width === other.width;
}
