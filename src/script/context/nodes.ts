import type { MemoryKind } from "../../ir/ir.js";
import type * as ast from "../ast.js";
import type { Position } from "../position.js";

/** Makers of the nodes that context variables give way to; sums of numbers are made here and not at every hit. */

export function number(value: bigint, position: Position): ast.Expression {
  return { kind: "number", position, value: BigInt.asIntN(64, value) };
}

export function plus(address: ast.Expression, offset: bigint, position: Position): ast.Expression {
  if (offset === 0n) return address;
  if (address.kind === "number") return number(address.value + offset, position);
  if (address.kind === "binary" && address.operator === "+" && address.right.kind === "number")
    return plus(address.left, address.right.value + offset, position);
  return { kind: "binary", position, operator: "+", left: address, right: number(offset, position) };
}

/** `address + index * stride`. */
export function element(
  address: ast.Expression,
  index: ast.Expression,
  stride: number,
  position: Position,
): ast.Expression {
  const constant = literal(index);
  if (constant !== undefined) return plus(address, constant * BigInt(stride), position);
  const right: ast.Expression =
    stride === 1
      ? index
      : { kind: "binary", position, operator: "*", left: index, right: number(BigInt(stride), position) };
  return { kind: "binary", position, operator: "+", left: address, right };
}

/** The value of a number, its sign in front of it or not. */
export function literal(node: ast.Expression): bigint | undefined {
  if (node.kind === "number") return node.value;
  if (node.kind !== "unary" || node.operand.kind !== "number") return undefined;
  if (node.operator === "-") return -node.operand.value;
  return node.operator === "+" ? node.operand.value : undefined;
}

export function load(
  address: ast.Expression,
  bytes: 1 | 2 | 4 | 8,
  signed: boolean,
  memory: MemoryKind,
  position: Position,
): ast.Expression {
  return { kind: "load", position, address, bytes, signed, memory };
}

/** Bits of a value: itself where those are all. */
export function bits(
  operand: ast.Expression,
  offset: number,
  width: number,
  signed: boolean,
  position: Position,
): ast.Expression {
  if (offset === 0 && width === 64) return operand;
  return { kind: "bits", position, operand, offset, width, signed };
}
