import type { ProbeReport } from "../../output/report.js";
import type { Probe } from "../../probes/probe.js";
import type { PointNode } from "../../script/ast.js";
import type { CompiledProbe } from "../../script/compile.js";
import { formatPosition } from "../../script/position.js";
import { isText, type Point } from "../points/point.js";
import type { TextProbes } from "./text-probes.js";

/** A probe of the script at one of its points. */
export interface ScriptProbe {
  readonly probe: Probe;
  readonly point: Point;
  readonly node: PointNode;
  readonly compiled: CompiledProbe;
}

const NANOSECONDS = 1000;

/** What the end of a session says of one probe. */
export function reportOf({ probe, point, compiled }: ScriptProbe, texts: TextProbes): ProbeReport {
  const text = texts.all.find((each) => each.probe === probe);
  const { time, firstFault } = probe;
  return {
    point: probe.definition.name,
    source: formatPosition(compiled.node.position),
    tier: isText(point) && text?.armed === 0 ? "unarmed" : "trap",
    ...(text === undefined
      ? {}
      : {
          places: {
            armed: text.armed,
            refused: Object.fromEntries(text.refused),
            ...(text.exhausted > 0 && { exhausted: text.exhausted }),
          },
        }),
    hits: probe.hits,
    missed: probe.nmissed,
    retries: probe.retries,
    fencedFaults: probe.fencedFaults,
    handlerFaults: probe.handlerFaults,
    instructionFaults: probe.faulted,
    ...(time.calls === 0
      ? {}
      : {
          time: {
            min: time.min * NANOSECONDS,
            avg: (time.total / time.calls) * NANOSECONDS,
            max: time.max * NANOSECONDS,
          },
        }),
    ...(firstFault === undefined
      ? {}
      : { firstFault: { message: firstFault.fault.message, near: firstFault.where } }),
    ...(probe.disarmedBecause === undefined ? {} : { disarmed: probe.disarmedBecause }),
  };
}
