import type { Formula, FormulaOperator } from "../types/location.js";

/** Makers of formulas: what is known is worked out at once. */

export function constant(value: bigint): Formula {
  return { kind: "constant", value: BigInt.asIntN(64, value) };
}

export function operation(operator: FormulaOperator, left: Formula, right: Formula): Formula {
  if (left.kind === "constant" && right.kind === "constant") {
    const value = workedOut(operator, left.value, right.value);
    if (value !== undefined) return constant(value);
  }
  if (operator === "-" && right.kind === "constant") return operation("+", left, constant(-right.value));
  if (operator === "+" && right.kind === "constant") return plus(left, right.value);
  if (operator === "+" && left.kind === "constant") return plus(right, left.value);
  return { kind: "operation", operator, left, right };
}

/** Sums with a constant are kept with the constant at the right. */
function plus(left: Formula, value: bigint): Formula {
  if (value === 0n) return left;
  if (left.kind === "constant") return constant(left.value + value);
  if (left.kind === "image-address") {
    const vaddr = left.vaddr + Number(value);
    if (Number.isSafeInteger(vaddr)) return { kind: "image-address", vaddr: vaddr as typeof left.vaddr };
  }
  if (left.kind === "operation" && left.operator === "+" && left.right.kind === "constant")
    return plus(left.left, BigInt.asIntN(64, left.right.value + value));
  return { kind: "operation", operator: "+", left, right: constant(value) };
}

export function bits(of: Formula, width: number, signed: boolean): Formula {
  if (width >= 64) return of;
  if (of.kind === "constant")
    return constant(signed ? BigInt.asIntN(width, of.value) : BigInt.asUintN(width, of.value));
  return { kind: "bits", of, width, signed };
}

/** @returns undefined where nothing comes of it: a division by zero */
function workedOut(operator: FormulaOperator, left: bigint, right: bigint): bigint | undefined {
  const unsigned = BigInt.asUintN(64, left);
  const distance = BigInt.asUintN(64, right);
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return right === 0n ? undefined : left / right;
    case "&":
      return left & right;
    case "|":
      return left | right;
    case "^":
      return left ^ right;
    case "<<":
      return distance > 63n ? 0n : left << distance;
    case ">>":
      return left >> (distance > 63n ? 63n : distance);
    case ">>>":
      return distance > 63n ? 0n : unsigned >> distance;
    case "==":
      return left === right ? 1n : 0n;
    case "!=":
      return left !== right ? 1n : 0n;
    case "<":
      return left < right ? 1n : 0n;
    case "<=":
      return left <= right ? 1n : 0n;
    case ">":
      return left > right ? 1n : 0n;
    case ">=":
      return left >= right ? 1n : 0n;
  }
}

/** Parts that a formula has; one that is used twice counts twice. */
export function partsOf(formula: Formula): number {
  switch (formula.kind) {
    case "constant":
    case "register":
    case "image-address":
      return 1;
    case "load":
      return 1 + partsOf(formula.address);
    case "bits":
      return 1 + partsOf(formula.of);
    case "operation":
      return 1 + partsOf(formula.left) + partsOf(formula.right);
  }
}
