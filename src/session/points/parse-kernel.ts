import { type PointComponent, returnOrEntry, text, unknown, UnknownPoint } from "./components.js";
import type { Point, ProgramPattern } from "./point.js";

const PARTS = ["function", "statement", "syscall"];
const SUFFIXES = ["call", "return", "exported"];

/** Points that SystemTap has and that take something that a kernel's image does not tell. */
const MISSING: Readonly<Record<string, string>> = {
  trace: 'tracepoints are not probed: probe the function that the kernel calls there, kernel.function("…")',
  data: "watchpoints on data are not offered",
  inline:
    "where copies of inline functions are is not looked up: only variables and types are, of debug information",
  callee: "which functions a function calls is not looked up in debug information",
  callees: "which functions a function calls is not looked up in debug information",
  label: "labels are not looked up in debug information",
  nearest: "source lines are not looked up in debug information: name a function and an offset",
};

/**
 * `kernel.…` and `module("…").…`, in SystemTap's words. stapprobes(3stap), DWARF PROBES.
 *
 * @param first `kernel` or `module`
 * @throws UnknownPoint
 */
export function parseKernel(first: PointComponent, components: readonly PointComponent[]): Point {
  const program: ProgramPattern =
    first.name === "kernel" ? { kind: "kernel" } : { kind: "module", module: text(first) };
  const [part, ...rest] = components;
  if (part === undefined) throw unknown(part, PARTS);
  switch (part.name) {
    case "function":
      return parseFunction(program, nameIn(part), rest);
    case "statement":
      return parseStatement(program, part, rest);
    case "syscall":
      if (program.kind === "module") throw unknown(part, ["function", "statement"]);
      return { kind: "system-call", program, name: text(part), where: returnOrEntry(rest) };
    default:
      throw missing(part) ?? unknown(part, PARTS);
  }
}

function parseFunction(
  program: ProgramPattern,
  functions: string,
  components: readonly PointComponent[],
): Point {
  const [first, ...more] = components;
  const exported = first?.name === "exported";
  const [suffix, ...left] = exported ? more : components;
  const known = exported ? ["call", "return"] : SUFFIXES;
  if (left.length > 0) throw missing(left[0]) ?? unknown(left[0], []);
  if (suffix !== undefined && suffix.name !== "call" && suffix.name !== "return")
    throw missing(suffix) ?? unknown(suffix, known);
  const where = suffix?.name === "return" ? "return" : "entry";
  return { kind: "function", program, library: undefined, functions, where, exported };
}

function parseStatement(
  program: ProgramPattern,
  part: PointComponent,
  components: readonly PointComponent[],
): Point {
  const [absolute, ...more] = components;
  if (more.length > 0) throw unknown(more[0], []);
  if (typeof part.argument === "bigint") {
    if (absolute?.name !== "absolute")
      throw new UnknownPoint(
        absolute === undefined
          ? "statement(ADDRESS) of a kernel is complete with .absolute: the address is that of its memory"
          : unknown(absolute, []).message,
        ["absolute"],
      );
    return { kind: "statement", program, library: undefined, vaddr: BigInt.asUintN(64, part.argument) };
  }
  if (absolute !== undefined) throw unknown(absolute, []);
  const [, functions, offset] = /^([^+]+)(?:\+(0[xX][0-9a-fA-F]+|\d+))?$/.exec(nameIn(part)) ?? [];
  if (functions === undefined)
    throw new UnknownPoint('statement takes an address, or a function and an offset: "vfs_read+0x1c"', []);
  return { kind: "offset", program, library: undefined, functions, offset: Number(offset ?? 0) };
}

/** @throws UnknownPoint source files and lines */
function nameIn(part: PointComponent): string {
  const name = text(part);
  const at = name.indexOf("@");
  if (at < 0) return name;
  throw new UnknownPoint(
    `source files and lines are not looked up, which a kernel's image does not have: leave out "${name.slice(at)}"`,
    [],
  );
}

function missing(part: PointComponent | undefined): UnknownPoint | undefined {
  const why = part === undefined ? undefined : MISSING[part.name];
  return why === undefined || part === undefined ? undefined : new UnknownPoint(`.${part.name}: ${why}`, []);
}
