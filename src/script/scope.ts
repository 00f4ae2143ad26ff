import type { ValueType } from "../ir/ir.js";
import type { FunctionNode } from "./ast.js";
import type { Position } from "./position.js";

/** A variable whose type is found from its uses. */
export interface Variable {
  readonly name: string;
  readonly position: Position;
  type: ValueType | undefined;
  /** Of arrays: the types of the keys; undefined while it is not known whether it is one. */
  keys: (ValueType | undefined)[] | undefined;
  readonly global: boolean;
  /** Something gives it a value. */
  assigned: boolean;
}

/** A function of a script, its types found from its body and its calls. */
export interface FunctionSymbol {
  readonly node: FunctionNode;
  readonly parameters: readonly Variable[];
  readonly locals: Map<string, Variable>;
  returns: ValueType | undefined;
  /** The body has a `return` with a value, so a call has one. */
  returnsValue: boolean;
}

export function makeVariable(name: string, position: Position, global: boolean, type?: ValueType): Variable {
  return { name, position, type, keys: undefined, global, assigned: false };
}
