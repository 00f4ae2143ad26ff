import type * as ir from "../../ir/ir.js";
import type { Script } from "../../script/ast.js";
import type { Compiled } from "../../script/compile.js";
import { formatPosition } from "../../script/position.js";
import { printExpression, printScript } from "../../script/print.js";
import type { KnownPoints, Match } from "./known-points.js";
import { pointText } from "./point-text.js";
import type { ResolvedPoint } from "./resolved-points.js";

/** `-p1`: what the parser made of a script; under SystemTap's heading, and itself a script again. */
export function describeScript(name: string, script: Script): string {
  return `# parse tree dump\n# file ${name}\n${printScript(script)}`;
}

/** `-p2`: names with the types found for them, and the points that each probe's points matched. */
export function describeProgram(
  compiled: Compiled,
  points: readonly ResolvedPoint[],
  files: KnownPoints,
): string {
  const { program } = compiled;
  const lines: string[] = [];
  if (program.globals.length > 0) lines.push("# globals", ...program.globals.map(describeGlobal));
  if (program.functions.length > 0) lines.push("# functions", ...program.functions.map(describeFunction));
  lines.push("# probes");
  program.handlers.forEach((handler, index) => {
    for (const resolved of points)
      if (resolved.index === index) lines.push(...describeMatches(resolved, files));
    if (handler.locals.length > 0) lines.push("  # locals");
    for (const local of handler.locals) lines.push(`  ${local.name}:${local.type}`);
    const uses = (compiled.probes[index]?.uses ?? []).map(
      ({ node, type }) => `  ${printExpression(node)}:${type}`,
    );
    if (uses.length > 0) lines.push("  # context variables", ...new Set(uses));
  });
  return `${lines.join("\n")}\n`;
}

/** `-p4`: which handler was made for what, and in which tier it will run. */
export function describeHandlers(points: readonly ResolvedPoint[], files: KnownPoints): string {
  const lines = points.map((resolved) => {
    const { node, compiled, index } = resolved;
    const text = pointText(node);
    const matched = matchesFor(resolved, files).length;
    const count = matched === 1 ? "" : ` (${String(matched)} points)`;
    return `handler ${String(index)}, trap tier: ${phased(compiled.phases)}${text}${count} at ${formatPosition(compiled.node.position)}`;
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** Those of a point's matches that the handler is for. */
function matchesFor({ point, node, codes }: ResolvedPoint, files: KnownPoints): readonly Match[] {
  const matches = files.matchesOf(point, pointText(node));
  return matches.filter(({ code }) => codes === undefined || code === undefined || codes.has(code));
}

function describeMatches(resolved: ResolvedPoint, files: KnownPoints): string[] {
  const { node, compiled } = resolved;
  const written = pointText(node);
  return matchesFor(resolved, files).map(({ text, place }) => {
    const pc = place === undefined ? "" : ` /* pc=${place} */`;
    const from = text === written ? "" : ` /* <- ${written} */`;
    return `${phased(compiled.phases)}${text}${pc}${from}`;
  });
}

function describeGlobal(global: ir.Global): string {
  const keys = global.keys.length === 0 ? "" : ` [${global.keys.join(", ")}]`;
  return `${global.name}:${global.type}${keys}`;
}

function describeFunction(fn: ir.Function): string {
  return `${fn.name}:${fn.returns} (${fn.parameters.map((each) => `${each.name}:${each.type}`).join(", ")})`;
}

function phased(phases: readonly string[]): string {
  return phases.length === 0 ? "" : `${phases.join(", ")} `;
}
