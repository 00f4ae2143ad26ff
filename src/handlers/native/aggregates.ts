import type { HistogramShape } from "../../runtime/histograms.js";
import type { Mark, Source, Temporary, Value } from "./code.js";
import { ExpressionBuilder } from "./expressions.js";
import { type PlacedGlobal, STATISTIC } from "./global-layout.js";

const WORD = 8;
/** The log bucket of 0; that of 1 is the next one. See runtime/histograms.ts. */
const LOG_ZERO = 64;

type PlacedStatistic = Extract<PlacedGlobal, { kind: "statistic" }>;
/** A value in a register. */
type Held = Temporary | Extract<Value, { kind: "entry" }>;

/** Makes code of `<<<`: each word of a statistic is changed by a locked instruction of its own. */
export abstract class AggregateBuilder extends ExpressionBuilder {
  protected aggregate(global: PlacedStatistic, given: Value): void {
    const value = this.inRegister(given);
    const locked = !this.options.alone;
    this.put({ op: "change", name: "add", at: global.at + STATISTIC.sum, by: value, locked });
    this.extreme(global.at + STATISTIC.min, value, "greater-or-equal");
    this.extreme(global.at + STATISTIC.max, value, "less-or-equal");
    if (global.histogram === undefined) {
      const by = { kind: "constant", value: 1 } as const;
      this.put({ op: "change", name: "add", at: global.at + STATISTIC.count, by, locked });
      return;
    }
    const index = this.bucket(global.histogram, global.buckets, value);
    const base = this.temporary();
    this.put({ op: "address", to: base, at: global.at + STATISTIC.buckets });
    this.put({ op: "count-indexed", base, index, locked });
  }

  /** Values settle soon: what is usual is that neither least nor greatest changes. */
  private extreme(at: number, value: Held, within: "greater-or-equal" | "less-or-equal"): void {
    const [change, done] = [this.mark(), this.mark()];
    const word = { kind: "word", at } as const;
    this.jumpIf(within === "less-or-equal" ? "greater" : "less", value, word, change);
    this.seldom(() => {
      this.here(change);
      if (this.options.alone) this.put({ op: "store", at, from: value });
      else {
        const expected = this.copy(word, "rax");
        const again = this.mark();
        this.here(again);
        this.jumpIf(within, value, expected, done);
        this.put({ op: "compare-exchange", at, expected, desired: value, failed: again });
      }
      this.jump(done);
    });
    this.here(done);
  }

  private bucket(shape: HistogramShape, buckets: number, value: Held): Temporary {
    const index = this.temporary();
    const done = this.mark();
    if (shape.kind === "log") this.logBucket(value, index, done);
    else this.linearBucket(BigInt(shape.start), BigInt(shape.interval), buckets - 1, value, index, done);
    this.here(done);
    return index;
  }

  private logBucket(value: Held, index: Temporary, done: Mark): void {
    const nothing = { kind: "constant", value: 0 } as const;
    const highest = (of: Temporary): Temporary => {
      const to = this.temporary();
      this.put({ op: "highest-bit", to, from: of });
      return to;
    };
    const unusual = this.mark();
    this.jumpIf("less-or-equal", value, nothing, unusual);
    this.seldom(() => {
      const zero = this.mark();
      this.here(unusual);
      this.jumpIf("equal", value, nothing, zero);
      // -2^63 is its own opposite: its highest bit is what is wanted.
      const bit = highest(this.unary("neg", value));
      this.give(index, this.arithmetic("sub", { kind: "constant", value: LOG_ZERO - 1 }, bit), done);
      this.here(zero);
      this.give(index, { kind: "constant", value: LOG_ZERO }, done);
    });
    const above = this.arithmetic("add", highest(this.inTemporary(value)), {
      kind: "constant",
      value: LOG_ZERO + 1,
    });
    this.put({ op: "move", to: index, from: above });
  }

  private linearBucket(
    start: bigint,
    interval: bigint,
    last: number,
    value: Held,
    index: Temporary,
    done: Mark,
  ): void {
    const [below, above] = [this.mark(), this.mark()];
    const low = this.constant(start);
    this.jumpIf("less", value, low, below);
    // Without a sign it does not overflow.
    const distance = this.arithmetic("sub", value, low);
    const bound = BigInt(last - 1) * interval;
    if (bound >= 2n ** 63n) this.refuse("a histogram that wide");
    this.jumpIf("above-or-equal", distance, this.constant(bound), above);
    this.seldom(() => {
      this.here(below);
      this.give(index, { kind: "constant", value: 0 }, done);
      this.here(above);
      this.give(index, { kind: "constant", value: last }, done);
    });
    const bucket = this.arithmetic("add", this.quotient(distance, interval), { kind: "constant", value: 1 });
    this.put({ op: "move", to: index, from: bucket });
  }

  private quotient(distance: Temporary, interval: bigint): Source {
    const power = Math.log2(Number(interval));
    if (power === 0) return distance;
    if (2n ** BigInt(Math.trunc(power)) === interval) return this.shift("shr", distance, power);
    const by = this.inTemporary(this.constant(interval));
    const [dividend, quotient] = [this.copy(distance, "rax"), this.temporary("rax")];
    this.put({ op: "divide", signed: false, dividend, by, quotient, remainder: this.temporary("rdx") });
    return this.copy(quotient);
  }

  private give(to: Temporary, from: Value, done: Mark): void {
    this.put({ op: "move", to, from });
    this.jump(done);
  }

  protected clearStatistic(global: PlacedStatistic, values: ReadonlyMap<number, bigint>): void {
    for (const [offset, value] of values)
      this.put({ op: "store", at: global.at + offset, from: this.constant(value) });
    for (let bucket = 0; bucket < global.buckets; bucket++) {
      const at = global.at + STATISTIC.buckets + WORD * bucket;
      this.put({ op: "store", at, from: { kind: "constant", value: 0 } });
    }
  }
}
