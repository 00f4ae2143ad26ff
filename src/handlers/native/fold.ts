import type * as ir from "../../ir/ir.js";
import {
  divide,
  remainder,
  shiftLeft,
  shiftRight,
  shiftRightUnsigned,
  wrap,
} from "../../runtime/integers.js";

/** The value of an expression that is the same at each hit. @returns undefined for any other */
export function constantOf(node: ir.Expression): bigint | undefined {
  switch (node.kind) {
    case "long":
      return node.value;
    case "arithmetic": {
      const left = constantOf(node.left);
      const right = constantOf(node.right);
      return left === undefined || right === undefined ? undefined : calculate(node.operator, left, right);
    }
    case "negate":
    case "complement":
    case "not": {
      const value = constantOf(node.operand);
      if (value === undefined) return undefined;
      if (node.kind === "not") return value === 0n ? 1n : 0n;
      return node.kind === "negate" ? wrap(-value) : ~value;
    }
    case "compare": {
      const left = constantOf(node.left);
      const right = constantOf(node.right);
      if (left === undefined || right === undefined) return undefined;
      return compares(node.operator, left, right) ? 1n : 0n;
    }
    default:
      return undefined;
  }
}

/** @returns undefined for a division by 0, which is an error at each hit */
function calculate(operator: ir.Arithmetic, left: bigint, right: bigint): bigint | undefined {
  switch (operator) {
    case "+":
      return wrap(left + right);
    case "-":
      return wrap(left - right);
    case "*":
      return wrap(left * right);
    case "/":
      return right === 0n ? undefined : divide(left, right);
    case "%":
      return right === 0n ? undefined : remainder(left, right);
    case "&":
      return left & right;
    case "|":
      return left | right;
    case "^":
      return left ^ right;
    case "<<":
      return shiftLeft(left, right);
    case ">>":
      return shiftRight(left, right);
    case ">>>":
      return shiftRightUnsigned(left, right);
  }
}

function compares(operator: ir.Comparison, left: bigint, right: bigint): boolean {
  switch (operator) {
    case "<":
      return left < right;
    case "<=":
      return left <= right;
    case ">":
      return left > right;
    case ">=":
      return left >= right;
    case "==":
      return left === right;
    case "!=":
      return left !== right;
  }
}
