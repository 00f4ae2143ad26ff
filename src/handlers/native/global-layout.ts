import type * as ir from "../../ir/ir.js";
import { type HistogramShape, linearShape } from "../../runtime/histograms.js";
import { LONG_MAX, LONG_MIN } from "../../runtime/integers.js";
import type { Limits } from "../../runtime/limits.js";
import { handlersThatLock } from "./sharing.js";

/** Words of a probe's own block, as offsets in it. */
export const PROBE = {
  /** Arrivals; those that were skipped are among them. */
  hits: 0,
  /** Unfenced faults that ended the handler. */
  cancelled: 8,
  /** The lock was not to be had in time: the handler did not run. */
  skipped: 16,
  /** Script errors that ended the handler. */
  errors: 24,
  /** Number of the first such error, as {@link NativeHandler.errors} counts them from 1; 0 before there is one. */
  firstError: 32,
} as const;

/** Words of a statistic, as offsets in it. */
export const STATISTIC = { sum: 0, min: 8, max: 16, count: 24, buckets: 32 } as const;

const WORD = 8;
/** What two processors do not take from each other: each lock, probe and statistic has lines of its own. */
const LINE = 64;
/** Log buckets of a histogram, see runtime/histograms.ts. */
const LOG_BUCKETS = 128;

export type PlacedGlobal =
  | { readonly kind: "long"; readonly at: number; readonly initial: bigint }
  | {
      readonly kind: "statistic";
      readonly at: number;
      readonly histogram: HistogramShape | undefined;
      /** 0 where there is no histogram; where there is one they tell the count, too. */
      readonly buckets: number;
    }
  /** Strings and arrays, and statistics of which a variance is asked: not here yet. */
  | { readonly kind: "elsewhere"; readonly what: string };

/**
 * Where globals, counters and the lock are in the data that tracer and target share: offsets in it.
 *
 * A program's longs and statistics are one set, of which each is changed by locked instructions, or by
 * handlers that hold the lock: see sharing.ts.
 */
export interface GlobalLayout {
  readonly limits: Limits;
  /** Bytes. */
  readonly size: number;
  /** One word: 0, or the stack pointer of who holds it. */
  readonly lock: number;
  readonly globals: ReadonlyMap<string, PlacedGlobal>;
  /** Blocks of {@link PROBE}, by the handler's number in the program. */
  readonly probes: readonly number[];
  /** Handlers that hold the lock while they run, by their numbers. */
  readonly locking: ReadonlySet<number>;
}

/**
 * @param alone handlers that run when no other does (begin, end): what they do together nobody else sees
 */
export function layGlobals(
  program: ir.Program,
  limits: Limits,
  alone: ReadonlySet<number> = new Set(),
): GlobalLayout {
  let size = LINE; // the lock's own
  const take = (bytes: number, alignment: number): number => {
    const at = Math.ceil(size / alignment) * alignment;
    size = at + bytes;
    return at;
  };
  const probes = program.handlers.map(() => take(LINE, LINE));
  const globals = new Map(program.globals.map((global) => [global.name, place(global, limits, take)]));
  size = Math.ceil(size / LINE) * LINE;
  const locking = handlersThatLock(program, alone);
  return { limits, size, lock: 0, globals, probes, locking };
}

function place(
  global: ir.Global,
  limits: Limits,
  take: (bytes: number, alignment: number) => number,
): PlacedGlobal {
  if (global.keys.length > 0) return { kind: "elsewhere", what: "an array" };
  if (global.type === "long") {
    const initial = typeof global.initial === "bigint" ? global.initial : 0n;
    return { kind: "long", at: take(WORD, WORD), initial };
  }
  if (global.type !== "statistic") return { kind: "elsewhere", what: "a string" };
  if (global.statistic.variance) return { kind: "elsewhere", what: "a statistic with a variance" };
  const histogram = shapeOf(global.statistic.histogram, limits);
  const buckets = histogram === undefined ? 0 : histogram.kind === "log" ? LOG_BUCKETS : histogram.buckets;
  return { kind: "statistic", at: take(STATISTIC.buckets + WORD * buckets, LINE), histogram, buckets };
}

function shapeOf(request: ir.HistogramRequest | undefined, limits: Limits): HistogramShape | undefined {
  if (request === undefined || request.kind === "log") return request;
  return linearShape(request.low, request.high, request.width, limits);
}

/** The data before the first hit. */
export function initialData(layout: GlobalLayout): Uint8Array {
  const bytes = new Uint8Array(layout.size);
  const view = new DataView(bytes.buffer);
  for (const global of layout.globals.values()) {
    if (global.kind === "long") view.setBigInt64(global.at, global.initial, true);
    if (global.kind !== "statistic") continue;
    // So that the first value needs no question whether it is the first.
    view.setBigInt64(global.at + STATISTIC.min, LONG_MAX, true);
    view.setBigInt64(global.at + STATISTIC.max, LONG_MIN, true);
  }
  return bytes;
}

/** What a statistic holds. */
export interface StatisticValues {
  readonly count: bigint;
  readonly sum: bigint;
  /** Of no meaning where the count is 0. */
  readonly min: bigint;
  readonly max: bigint;
  /** Empty where there is no histogram. */
  readonly buckets: readonly bigint[];
}

/** Reads a statistic out of the shared data. */
export function readStatistic(
  data: DataView,
  global: Extract<PlacedGlobal, { kind: "statistic" }>,
): StatisticValues {
  const word = (offset: number): bigint => data.getBigInt64(global.at + offset, true);
  const buckets = Array.from({ length: global.buckets }, (_, index) =>
    word(STATISTIC.buckets + WORD * index),
  );
  const count = global.buckets === 0 ? word(STATISTIC.count) : buckets.reduce((sum, hits) => sum + hits, 0n);
  return {
    count,
    sum: word(STATISTIC.sum),
    min: word(STATISTIC.min),
    max: word(STATISTIC.max),
    buckets,
  };
}
