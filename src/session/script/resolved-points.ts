import { ProbeRefused, TraplineError, UsageError } from "../../base/errors.js";
import type { PointNode } from "../../script/ast.js";
import type { Compiled, CompiledProbe } from "../../script/compile.js";
import { hasInstruction, isReturn, isText, type Point } from "../points/point.js";
import type { KnownPoints } from "./known-points.js";
import { pointText, resolvePoint } from "./point-text.js";

/** A point of the script, and the number of its handler. */
export interface ResolvedPoint {
  readonly point: Point;
  readonly node: PointNode;
  readonly compiled: CompiledProbe;
  readonly index: number;
  /** The codes that the handler was made for, by their keys; undefined: for all that the point matches. */
  readonly codes: ReadonlySet<string> | undefined;
}

/**
 * What the points of a script's probes mean, as far as files tell: said before anything runs.
 *
 * @param runs there will be a target, or there must be one: without, points can still be described
 * @throws ScriptProblem a point that is none, or that can match nothing
 * @throws UsageError a point of a process, and no process is named; or of another kind of target
 */
export function resolvePoints(
  compiled: Compiled,
  files: KnownPoints,
  runs: { readonly hasTarget: boolean } | undefined,
): readonly ResolvedPoint[] {
  const resolved: ResolvedPoint[] = [];
  compiled.probes.forEach((probe, index) => {
    for (const node of probe.points) {
      const point = resolvePoint(node, compiled.sources);
      refusePhases(point, node, probe, compiled);
      const foreign = files.foreign(point);
      if (foreign !== undefined) {
        if (node.optional || node.sufficient) continue;
        throw new UsageError(`${pointText(node)}: ${foreign.why}`, { remedy: foreign.remedy });
      }
      if (runs?.hasTarget === false && isText(point)) {
        throw new UsageError(`${pointText(node)}: a process to probe is needed`, {
          remedy: "name one with -c COMMAND or -x PID",
        });
      }
      if (!matches(point, node, files, compiled)) continue;
      const codes = probe.codes?.get(node)?.map(({ key }) => key);
      resolved.push({ point, node, compiled: probe, index, codes: codes && new Set(codes) });
      if (node.sufficient) break;
    }
  });
  return resolved;
}

function refusePhases(point: Point, node: PointNode, { phases }: CompiledProbe, { sources }: Compiled): void {
  if (phases.length === 0 || (hasInstruction(point) && !isReturn(point))) return;
  const problem = `a probe point of this kind has no phases: '${phases.join(", ")}'`;
  throw sources.problem("semantic", problem, node.position);
}

/** A point that can match nothing is an error, unless it is optional. */
function matches(point: Point, node: PointNode, files: KnownPoints, { sources }: Compiled): boolean {
  if (!isText(point)) return true;
  const optional = node.optional || node.sufficient;
  let problem = `no match: '${pointText(node)}'`;
  try {
    files.refuse(point);
    if (files.matches(point) !== false) return true;
  } catch (error) {
    if (!(error instanceof TraplineError)) throw error;
    if (!optional && !(error instanceof ProbeRefused)) throw error;
    problem = error.message;
  }
  if (optional) return false;
  throw sources.problem("semantic", `while resolving probe point: ${problem}`, node.position);
}
