import type * as ir from "../../ir/ir.js";

/** The expressions that an expression is made of, as far as integers go. */
function partsOf(node: ir.Expression): readonly ir.Expression[] {
  switch (node.kind) {
    case "arithmetic":
    case "compare":
    case "logic":
    case "concatenate":
      return [node.left, node.right];
    case "not":
    case "negate":
    case "complement":
    case "bits":
    case "show":
    case "match":
      return [node.operand];
    case "load":
      return [node.address];
    case "choose":
      return [node.condition, node.then, node.otherwise];
    case "assign":
    case "update":
      return [node.value];
    case "call":
    case "intrinsic":
    case "format":
      return node.arguments;
    default:
      return [];
  }
}

function some(node: ir.Expression, is: (node: ir.Expression) => boolean): boolean {
  return is(node) || partsOf(node).some((part) => some(part, is));
}

/** Whether the evaluation may give a local variable of the body that it stands in another value. */
export function assignsLocal(node: ir.Expression): boolean {
  return some(
    node,
    (each) => (each.kind === "assign" || each.kind === "update") && each.place.kind === "local",
  );
}

/** Whether the evaluation may touch a global. */
export function touchesGlobal(node: ir.Expression): boolean {
  return some(
    node,
    (each) =>
      each.kind === "global" ||
      each.kind === "statistic" ||
      each.kind === "call" ||
      ((each.kind === "assign" || each.kind === "update") && each.place.kind !== "local"),
  );
}
