import { type Histogram, type HistogramShape, createHistogram } from "./histograms.js";
import { MESSAGES, ScriptError } from "./errors.js";
import type { Long } from "./integers.js";

/** What a script asks of a statistic, known at compile time: nothing else is kept up. */
export interface StatisticShape {
  /** The script uses `@variance` on it. */
  readonly variance: boolean;
  /** Of the `@hist_…` that the script applies to it; a statistic has one shape at most. */
  readonly histogram: HistogramShape | undefined;
}

export const PLAIN_STATISTIC: StatisticShape = { variance: false, histogram: undefined };

/** The operators on a statistic; also the sort columns of `foreach (… in a @count-)` (no variance there). */
export type StatisticOperator = "count" | "sum" | "min" | "max" | "avg" | "variance";

/**
 * What `<<<` collects. The sum wraps as all longs do.
 *
 * `@variance` is the unbiased one, rounded down, and exact: the sums it needs are kept without
 * wrapping, so SystemTap's bit shift, which buys precision, has nothing left to buy here.
 */
export class Statistic {
  #count = 0n;
  #sum = 0n;
  #min = 0n;
  #max = 0n;
  #exactSum = 0n;
  #sumOfSquares = 0n;
  readonly #variance: boolean;
  /** Present where the shape has one. */
  readonly histogram: Histogram | undefined;

  constructor(shape: StatisticShape = PLAIN_STATISTIC) {
    this.#variance = shape.variance;
    this.histogram = shape.histogram === undefined ? undefined : createHistogram(shape.histogram);
  }

  /** `this <<< value`. */
  add(value: Long): void {
    if (this.#count === 0n) {
      this.#min = value;
      this.#max = value;
    } else if (value < this.#min) this.#min = value;
    else if (value > this.#max) this.#max = value;
    this.#count += 1n;
    this.#sum = BigInt.asIntN(64, this.#sum + value);
    if (this.#variance) {
      this.#exactSum += value;
      this.#sumOfSquares += value * value;
    }
    this.histogram?.add(value);
  }

  get count(): Long {
    return this.#count;
  }

  get sum(): Long {
    return this.#sum;
  }

  /** @throws ScriptError empty aggregate */
  get min(): Long {
    this.#mustHaveValues();
    return this.#min;
  }

  /** @throws ScriptError empty aggregate */
  get max(): Long {
    this.#mustHaveValues();
    return this.#max;
  }

  /** The (wrapped) sum divided by the count, towards zero. @throws ScriptError empty aggregate */
  get avg(): Long {
    this.#mustHaveValues();
    return this.#sum / this.#count;
  }

  /** 0 for a single value. @throws ScriptError empty aggregate */
  get variance(): Long {
    this.#mustHaveValues();
    if (this.#count === 1n) return 0n;
    const scaled = this.#count * this.#sumOfSquares - this.#exactSum * this.#exactSum;
    return BigInt.asIntN(64, scaled / (this.#count * (this.#count - 1n)));
  }

  clear(): void {
    this.#count = 0n;
    this.#sum = 0n;
    this.#min = 0n;
    this.#max = 0n;
    this.#exactSum = 0n;
    this.#sumOfSquares = 0n;
    this.histogram?.clear();
  }

  #mustHaveValues(): void {
    if (this.#count === 0n) throw new ScriptError(MESSAGES.emptyAggregate);
  }
}

/**
 * `@count(s)` and its like, also for an array element that does not exist.
 * @throws ScriptError empty aggregate, for all but count and sum, which are 0 then
 */
export function extract(statistic: Statistic | undefined, operator: StatisticOperator): Long {
  if (statistic !== undefined) return statistic[operator];
  if (operator === "count" || operator === "sum") return 0n;
  throw new ScriptError(MESSAGES.emptyAggregate);
}

/** The histogram of a statistic that has values. @throws ScriptError empty aggregate */
export function histogramOf(statistic: Statistic | undefined): Histogram {
  if (statistic?.histogram === undefined || statistic.count === 0n) {
    throw new ScriptError(MESSAGES.emptyAggregate);
  }
  return statistic.histogram;
}
