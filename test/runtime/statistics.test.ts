import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LONG_MAX, LONG_MIN, wrap } from "../../src/runtime/integers.js";
import { Statistic, extract, histogramOf } from "../../src/runtime/statistics.js";

function collected(values: readonly bigint[]): Statistic {
  const statistic = new Statistic({ variance: true, histogram: undefined });
  for (const value of values) statistic.add(value);
  return statistic;
}

test("count, sum, min, max and avg of what was collected", () => {
  const statistic = collected([3n, -7n, 5n]);
  assert.deepEqual(
    [statistic.count, statistic.sum, statistic.min, statistic.max, statistic.avg],
    [3n, 1n, -7n, 5n, 0n],
  );
  assert.equal(collected([-7n, 0n]).avg, -3n, "towards zero");
});

test("a sum wraps", () => {
  assert.equal(collected([LONG_MAX, 1n]).sum, LONG_MIN);
});

test("variance is the unbiased one, exact", () => {
  assert.equal(collected([1n, 2n, 3n, 4n, 5n]).variance, 2n);
  assert.equal(collected([4n]).variance, 0n);
  assert.equal(collected([2n ** 31n, 2n ** 31n + 2n, 2n ** 31n + 4n]).variance, 4n);
  const big = fc.bigInt({ min: -(2n ** 28n), max: 2n ** 28n });
  fc.assert(
    fc.property(fc.array(big, { minLength: 2, maxLength: 20 }), (values) => {
      const n = BigInt(values.length);
      const sum = values.reduce((a, b) => a + b);
      // Σ(n·x - Σx)² = n²·Σ(x - mean)²
      const squares = values.reduce((total, value) => total + (n * value - sum) ** 2n, 0n);
      assert.equal(collected(values).variance, wrap(squares / (n * n * (n - 1n))));
    }),
  );
});

test("an empty aggregate has a count and a sum and nothing else", () => {
  for (const empty of [new Statistic(), undefined]) {
    assert.equal(extract(empty, "count"), 0n);
    assert.equal(extract(empty, "sum"), 0n);
    for (const operator of ["min", "max", "avg", "variance"] as const) {
      assert.throws(() => extract(empty, operator), { name: "ScriptError", message: "empty aggregate" });
    }
    assert.throws(() => histogramOf(empty), { message: "empty aggregate" });
  }
});

test("a cleared statistic begins anew", () => {
  const statistic = new Statistic({ variance: true, histogram: { kind: "log" } });
  statistic.add(-100n);
  statistic.clear();
  assert.equal(statistic.count, 0n);
  statistic.add(5n);
  assert.deepEqual([statistic.min, statistic.max, statistic.variance], [5n, 5n, 0n]);
  assert.equal(histogramOf(statistic).at(67n), 1n);
});
