import type { PointNode } from "../../script/ast.js";
import { similarNames, type Sources } from "../../script/errors.js";
import { UnknownPoint } from "../points/components.js";
import { parsePoint } from "../points/parse-point.js";
import type { Point } from "../points/point.js";

/** A point as its author wrote it. */
export function pointText(node: PointNode): string {
  return node.components
    .map(({ name, argument }) => {
      if (argument === undefined) return name;
      return typeof argument === "string" ? `${name}("${argument}")` : `${name}(${formatNumber(argument)})`;
    })
    .join(".");
}

/** What a point means. @throws ScriptProblem it is none that we have */
export function resolvePoint(node: PointNode, sources: Sources): Point {
  try {
    return parsePoint(node.components);
  } catch (error) {
    if (!(error instanceof UnknownPoint)) throw error;
    const last = node.components.at(-1)?.name ?? "";
    const hint =
      similarNames(last, error.known) ||
      (error.known.length === 0 ? "" : ` (known here: ${error.known.join(", ")})`);
    throw sources.problem("semantic", `while resolving probe point: ${error.message}`, node.position, hint);
  }
}

function formatNumber(value: bigint): string {
  return value > 0xffffn ? `0x${value.toString(16)}` : value.toString();
}
