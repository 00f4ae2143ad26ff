import type { Expression, ValueType } from "../ir/ir.js";
import type * as ast from "./ast.js";

/**
 * Makes IR of what context variables gave way to: each node has its like there.
 *
 * @param lower makes IR of an operand, which is a long
 */
export function lowerResolved(
  node: ast.ResolvedNode,
  lower: (operand: ast.Expression, expected: ValueType) => Expression,
  where: string,
): Expression {
  switch (node.kind) {
    case "register":
      return { kind: "register", type: "long", register: node.register, where };
    case "load": {
      const { bytes, signed, memory } = node;
      return {
        kind: "load",
        type: "long",
        address: lower(node.address, "long"),
        bytes,
        signed,
        memory,
        where,
      };
    }
    case "bits": {
      const { offset, width, signed } = node;
      return { kind: "bits", type: "long", operand: lower(node.operand, "long"), offset, width, signed };
    }
    case "static-address": {
      const { image, address, perCpu } = node;
      return { kind: "static-address", type: "long", image, address, perCpu, where };
    }
    case "show": {
      const { from, shape } = node;
      return { kind: "show", type: "string", operand: lower(node.operand, "long"), from, shape, where };
    }
  }
}

/** What a handler wants to know of the entry of the function that returns: the same thing once. */
export class EntryValues {
  readonly expressions: Expression[] = [];
  private readonly indexes = new Map<string, number>();

  /** @returns its index */
  add(expression: Expression): number {
    const key = JSON.stringify(expression, (name, value: unknown) => {
      if (name === "where") return undefined;
      return typeof value === "bigint" ? `${value.toString()}n` : value;
    });
    let index = this.indexes.get(key);
    if (index === undefined) {
      index = this.expressions.push(expression) - 1;
      this.indexes.set(key, index);
    }
    return index;
  }
}
