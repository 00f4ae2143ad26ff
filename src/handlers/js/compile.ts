import type * as ir from "../../ir/ir.js";
import type { Hit } from "../../probes/probe.js";
import type { HandlerOutcome } from "../../probes/outcome.js";
import type { HandlerContext, SavedValues } from "../../runtime/context.js";
import { Format } from "../../runtime/format.js";
import { createGlobals, type GlobalDeclaration, type Globals } from "../../runtime/globals.js";
import { linearShape } from "../../runtime/histograms.js";
import type { Limits } from "../../runtime/limits.js";
import type { StatisticShape } from "../../runtime/statistics.js";
import { emit } from "./emit.js";
import { makeLibrary } from "./library.js";
import { Regex } from "./regex.js";
import type { Scene } from "./scene.js";

/** A handler of a script, ready to be called for a hit. */
export interface ScriptHandler {
  (hit: Hit): HandlerOutcome;
  /**
   * To be called when the function is entered whose return the handler is about; what it gives is
   * `hit.saved` then. Undefined where the handler wants nothing of the entry.
   */
  readonly save: ((hit: Hit) => SavedValues) | undefined;
}

/** As {@link emit} has it. */
interface Emitted {
  readonly run: () => void;
  readonly entry: readonly (() => bigint | string)[];
}

/** Makes the handlers of a program callable, over globals of their own. */
export function compileHandlers(
  program: ir.Program,
  context: HandlerContext,
  scene: Scene,
): readonly ScriptHandler[] {
  const { source, formats, patterns, shapes } = emit(program);
  // The text is ours, made from checked IR: names are prefixed, strings quoted, nothing is passed through.
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- a compiler's back end must make code
  const make = new Function("k", "g", "rt", "F", source) as (...parts: unknown[]) => Emitted[];
  const compiled = {
    formats: formats.map((format) => new Format(format)),
    patterns: patterns.map((pattern) => new Regex(pattern)),
    shapes,
  };
  const globals = makeGlobals(program.globals, context.services.limits);
  return make(context, globals, makeLibrary(context, scene), compiled).map(
    ({ run, entry }): ScriptHandler => {
      const save = entry.length === 0 ? undefined : (hit: Hit): SavedValues => context.save(entry, hit);
      return Object.assign((hit: Hit) => context.run(run, hit), { save });
    },
  );
}

function makeGlobals(globals: readonly ir.Global[], limits: Limits): Globals {
  return createGlobals(
    globals.map((global) => declaration(global, limits)),
    limits,
  );
}

function declaration(global: ir.Global, limits: Limits): GlobalDeclaration {
  const { name, keys, initial, type } = global;
  const shape = statisticShape(global, limits);
  if (keys.length > 0) {
    const element = type === "string" || type === "statistic" ? type : "long";
    const size = global.size === undefined ? {} : { declaredSize: global.size };
    return { name, kind: "array", element, keyCount: keys.length, wraps: global.wraps, shape, ...size };
  }
  if (type === "statistic") return { name, kind: "statistic", shape };
  if (type === "string")
    return typeof initial === "string" ? { name, kind: "string", initial } : { name, kind: "string" };
  return typeof initial === "bigint" ? { name, kind: "long", initial } : { name, kind: "long" };
}

function statisticShape(global: ir.Global, limits: Limits): StatisticShape {
  const { variance, histogram } = global.statistic;
  if (histogram === undefined || histogram.kind === "log") return { variance, histogram };
  return { variance, histogram: linearShape(histogram.low, histogram.high, histogram.width, limits) };
}
