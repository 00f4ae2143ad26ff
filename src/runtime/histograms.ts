import type { ByteString } from "./byte-string.js";
import { MESSAGES, ScriptError } from "./errors.js";
import type { Long } from "./integers.js";
import { DEFAULT_LIMITS, type Limits } from "./limits.js";

/** `@hist_log(x)`, `@hist_linear(x, start, stop, interval)`: see {@link linearShape}. */
export type HistogramShape = { readonly kind: "log" } | LinearShape;

export interface LinearShape {
  readonly kind: "linear";
  readonly start: number;
  readonly interval: number;
  /** The one for what lies below the start and the one for what lies above the stop included. */
  readonly buckets: number;
}

/** Log buckets: -2^63, …, -4, -2, -1, 0, 1, 2, 4, …, 2^62; SystemTap runtime/stat.h. */
const LOG_BUCKETS = 128;
const LOG_ZERO = 64;

/** Empty buckets drawn on either side of the data. */
const MARGIN = 2;
const HEADING = "value";

export type HistogramLayout = Pick<Limits, "HIST_WIDTH" | "HIST_ELISION">;

/** Counts by bucket. `add` allocates nothing. */
export abstract class Histogram {
  /** As numbers: exact up to 2^53 hits. */
  readonly #counts: Float64Array;

  protected constructor(readonly buckets: number) {
    this.#counts = new Float64Array(buckets);
  }

  add(value: Long): void {
    const bucket = this.bucketOf(value);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
  }

  clear(): void {
    this.#counts.fill(0);
  }

  /** `@hist_log(x)[bucket]`. @throws ScriptError histogram index out of range */
  at(bucket: Long): Long {
    if (bucket < 0n || bucket >= BigInt(this.buckets)) throw new ScriptError(MESSAGES.histogramIndex);
    return BigInt(this.#counts[Number(bucket)] as number);
  }

  /** What `print(@hist_log(x))` prints, with the empty line behind it. */
  render(layout: HistogramLayout = DEFAULT_LIMITS): ByteString {
    const counts = this.#counts;
    const shown = this.#shownBuckets();
    const largest = counts.reduce((a, b) => Math.max(a, b), 0);
    const hitsAnAt = Math.max(1, Math.ceil(largest / layout.HIST_WIDTH));
    const countWidth = String(largest).length;
    const labelWidth = Math.max(HEADING.length, this.labelWidth(shown.first, shown.last));

    let text = `${HEADING.padStart(labelWidth)} |${"-".repeat(layout.HIST_WIDTH)} count\n`;
    let eliding = false;
    for (let bucket = shown.first; bucket <= shown.last; bucket++) {
      if (this.#isLonelyZero(bucket, shown, layout.HIST_ELISION)) {
        eliding = true;
        continue;
      }
      if (eliding) text += `${" ".repeat(labelWidth)} ~\n`;
      eliding = false;
      const count = counts[bucket] as number;
      const bar = Math.floor(count / hitsAnAt);
      const hits = String(count).padStart(layout.HIST_WIDTH - bar + 1 + countWidth);
      text += `${this.label(bucket).padStart(labelWidth)} |${"@".repeat(bar)}${hits}\n`;
    }
    return `${text}\n`;
  }

  #shownBuckets(): { readonly first: number; readonly last: number } {
    let first = this.#counts.findIndex((count) => count > 0);
    if (first < 0) first = 0;
    let last = 0;
    for (let bucket = 0; bucket < this.buckets; bucket++)
      if ((this.#counts[bucket] as number) > 0) last = bucket;
    for (let i = 0; i < MARGIN; i++) {
      if (first > 0 && !this.isLowestByChoice(first)) first--;
      if (last < this.buckets - 1) last++;
    }
    if (this.hidesEmptyEnds) {
      if (first === 0 && this.#counts[0] === 0) first++;
      if (last === this.buckets - 1 && this.#counts[last] === 0) last--;
    }
    return { first, last };
  }

  /** An empty row whose neighbours, up to `reach` on both sides, are empty too. */
  #isLonelyZero(bucket: number, shown: { first: number; last: number }, reach: number): boolean {
    if (reach < 0) return false;
    const from = Math.max(shown.first, bucket - reach);
    const to = Math.min(shown.last, bucket + reach);
    for (let near = from; near <= to; near++) if (this.#counts[near] !== 0) return false;
    return true;
  }

  protected abstract bucketOf(value: Long): number;
  protected abstract label(bucket: number): string;
  protected abstract labelWidth(first: number, last: number): number;
  /** The margin does not go below this bucket. */
  protected abstract isLowestByChoice(bucket: number): boolean;
  /** The first and last bucket are not drawn when empty. */
  protected abstract readonly hidesEmptyEnds: boolean;
}

class LogHistogram extends Histogram {
  protected readonly hidesEmptyEnds = false;

  constructor() {
    super(LOG_BUCKETS);
  }

  protected bucketOf(value: Long): number {
    return value >= 0n ? LOG_ZERO + bitLength(value) : LOG_ZERO - bitLength(-value);
  }

  protected label(bucket: number): string {
    if (bucket === LOG_ZERO) return "0";
    if (bucket < LOG_ZERO) return String(-(1n << BigInt(LOG_ZERO - 1 - bucket)));
    return String(1n << BigInt(bucket - LOG_ZERO - 1));
  }

  protected labelWidth(first: number, last: number): number {
    return Math.max(this.label(first).length, this.label(last).length);
  }

  /** Without negative values the axis starts at 0. */
  protected isLowestByChoice(bucket: number): boolean {
    return bucket === LOG_ZERO;
  }
}

/** 0 … 64. */
function bitLength(value: bigint): number {
  const high = Number(value >> 32n);
  return high === 0 ? 32 - Math.clz32(Number(value)) : 64 - Math.clz32(high);
}

class LinearHistogram extends Histogram {
  protected readonly hidesEmptyEnds = true;
  readonly #start: bigint;
  readonly #interval: bigint;

  constructor(readonly shape: LinearShape) {
    super(shape.buckets);
    this.#start = BigInt(shape.start);
    this.#interval = BigInt(shape.interval);
  }

  /** The first bucket is what lies below the start, the last what lies above the stop. */
  protected bucketOf(value: Long): number {
    if (value < this.#start) return 0;
    const bucket = (value - this.#start) / this.#interval + 1n;
    const last = this.buckets - 1;
    return bucket >= BigInt(last) ? last : Number(bucket);
  }

  protected label(bucket: number): string {
    const { start, interval } = this.shape;
    if (bucket === 0) return `<${start}`;
    if (bucket === this.buckets - 1) return `>${start + (bucket - 2) * interval}`;
    return String(start + (bucket - 1) * interval);
  }

  /** SystemTap reserves room for the start and for one interval more than it shows. */
  protected labelWidth(first: number, last: number): number {
    const { start, interval } = this.shape;
    const low = String(start).length + (first === 0 ? 1 : 0);
    const high = String(start + interval * last).length + (last === this.buckets - 1 ? 1 : 0);
    return Math.max(low, high);
  }

  protected isLowestByChoice(): boolean {
    return false;
  }
}

export function createHistogram(shape: HistogramShape): Histogram {
  return shape.kind === "log" ? new LogHistogram() : new LinearHistogram(shape);
}

/**
 * The shape of `@hist_linear(x, start, stop, interval)`, for the compiler.
 * @throws ScriptError numbers that make no histogram
 */
export function linearShape(
  start: number,
  stop: number,
  interval: number,
  limits: Pick<Limits, "STP_MAX_BUCKETS"> = DEFAULT_LIMITS,
): LinearShape {
  if (interval <= 0) throw new ScriptError("histogram: interval must be greater than zero");
  const buckets = Math.trunc((stop - start) / interval) + 3;
  if (buckets < 3 || buckets > limits.STP_MAX_BUCKETS) {
    throw new ScriptError(
      `histogram: Number of buckets must be between 1 and ${limits.STP_MAX_BUCKETS - 2}; ` +
        "it is (stop - start) / interval: please adjust your start, stop, and interval values",
    );
  }
  return { kind: "linear", start, interval, buckets };
}
