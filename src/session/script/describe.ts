import type * as ir from "../../ir/ir.js";
import type { Script } from "../../script/ast.js";
import type { Compiled } from "../../script/compile.js";
import { pointText } from "./point-text.js";

/** `-p1`: what the parser made of a script. */
export function describeScript(script: Script): string {
  const lines: string[] = ["# parsed script"];
  for (const global of script.globals) lines.push(`global ${global.name}${global.wraps ? "%" : ""}`);
  for (const fn of script.functions) {
    lines.push(
      `function ${fn.name}(${fn.parameters.map((each) => each.name + (each.type === undefined ? "" : `:${each.type}`)).join(", ")})`,
    );
  }
  for (const alias of script.aliases)
    lines.push(
      `probe ${alias.name.join(".")} ${alias.epilogue ? "+=" : "="} ${alias.points.map(pointText).join(", ")}`,
    );
  for (const probe of script.probes)
    lines.push(`probe ${phased(probe.phases)}${probe.points.map(pointText).join(", ")}`);
  return `${lines.join("\n")}\n`;
}

/** `-p2`: names with the types found for them. */
export function describeProgram(compiled: Compiled): string {
  const { program } = compiled;
  const lines: string[] = [];
  if (program.globals.length > 0) lines.push("# globals", ...program.globals.map(describeGlobal));
  if (program.functions.length > 0) lines.push("# functions", ...program.functions.map(describeFunction));
  lines.push("# probes");
  compiled.probes.forEach((probe, index) => {
    lines.push(`${phased(probe.phases)}${probe.points.map(pointText).join(", ")}`);
    for (const local of program.handlers[index]?.locals ?? [])
      lines.push(`  # local ${local.name}:${local.type}`);
  });
  return `${lines.join("\n")}\n`;
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
