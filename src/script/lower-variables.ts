import type { Expression, HistogramRequest, ValueType } from "../ir/ir.js";
import type { ScriptProblem, Sources } from "./errors.js";
import type { Position } from "./position.js";
import { type FunctionSymbol, makeVariable, type Variable } from "./scope.js";

/** What all bodies of a script share while their types are found. */
export interface Scope {
  readonly sources: Sources;
  readonly globals: ReadonlyMap<string, Variable>;
  readonly functions: ReadonlyMap<string, FunctionSymbol>;
  /** By global. */
  readonly statistics: Map<string, { variance: boolean; histogram: HistogramRequest | undefined }>;
  /** Set whenever a type became known: another round is worth it. */
  changed: boolean;
  /** Bytes of a string; literals are cut too. */
  readonly longestString: number;
  /** In the last round what is still unknown is taken for a long, as SystemTap does with a warning. */
  readonly final: boolean;
}

/** Names and their types: what the lowering of expressions and statements stands on. */
export class VariableLowering {
  constructor(
    protected readonly scope: Scope,
    protected readonly locals: Map<string, Variable>,
  ) {}

  protected problem(problem: string, position: Position, hint = ""): ScriptProblem {
    return this.scope.sources.problem("semantic", problem, position, hint);
  }

  protected variable(name: string, position: Position): Variable {
    const found = this.locals.get(name) ?? this.scope.globals.get(name);
    if (found !== undefined) return found;
    const variable = makeVariable(name, position, false);
    this.locals.set(name, variable);
    return variable;
  }

  /** The variable, which gets a value here. */
  protected assigned(name: string, position: Position): Variable {
    const variable = this.variable(name, position);
    variable.assigned = true;
    return variable;
  }

  protected near(node: { readonly position: Position }): string {
    return this.scope.sources.near(node.position);
  }

  protected agree(type: ValueType, expected: ValueType | undefined, position: Position): void {
    if (expected !== undefined && type !== expected) {
      throw this.problem(`type mismatch: expected ${shown(expected)} but found ${shown(type)}`, position);
    }
  }

  protected note(variable: Variable, type: ValueType | undefined, position: Position): void {
    if (type === undefined) return;
    if (type === "statistic" && !variable.global) {
      throw this.problem("stat locals not supported, missing global declaration?", position);
    }
    if (variable.type === undefined) {
      variable.type = type;
      this.scope.changed = true;
    } else if (variable.type !== type) {
      throw this.problem(
        `type mismatch: expected ${shown(variable.type)} but found ${shown(type)}`,
        position,
      );
    }
  }

  protected typeOf(variable: Variable): ValueType {
    return variable.type ?? (this.scope.final ? "long" : UNKNOWN);
  }
}

/** Stands for a type that no use has told yet; never in the IR of the last round. */
export const UNKNOWN = "unknown" as ValueType;

export function known(expression: Expression): ValueType | undefined {
  return expression.type === UNKNOWN || expression.type === "void" ? undefined : expression.type;
}

function shown(type: ValueType): string {
  return type === "statistic" ? "stats" : type;
}
