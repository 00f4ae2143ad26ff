import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LongArray, StatisticArray, StringArray } from "../../src/runtime/arrays.js";
import { LONG_MAX, LONG_MIN } from "../../src/runtime/integers.js";
import { deleteSlice, hasSlice, snapshot } from "../../src/runtime/sorting.js";
import { PLAIN_STATISTIC } from "../../src/runtime/statistics.js";

function longs(
  keyCount: number,
  options: { declaredSize?: number; wraps?: boolean; most?: number } = {},
): LongArray {
  const { declaredSize, wraps = false, most = 2048 } = options;
  return new LongArray({ name: "a", keyCount, declaredSize, wraps }, most);
}
const keysOf = (array: LongArray): unknown[] => snapshot(array).map((element) => element.keys);

test("reading an absent element gives zero and creates nothing", () => {
  const array = longs(1);
  assert.equal(array.get(7n), 0n);
  assert.equal(array.has(7n), false);
  assert.equal(array.size, 0);
});

test("adding wraps and gives the new value", () => {
  const array = longs(1);
  assert.equal(array.add(1n, "k"), 1n);
  array.set(LONG_MAX, "k");
  assert.equal(array.add(1n, "k"), LONG_MIN);
});

test("string elements are empty where absent", () => {
  const array = new StringArray({ name: "s", keyCount: 1, declaredSize: undefined, wraps: false }, 10);
  assert.equal(array.get(1n), "");
  array.set("x", 1n);
  assert.equal(array.get(1n), "x");
});

test("an array overflow names the limit that was met", () => {
  const byDefault = longs(1, { most: 2 });
  byDefault.set(1n, 1n);
  byDefault.set(1n, 2n);
  byDefault.set(9n, 2n);
  assert.throws(
    () => {
      byDefault.set(1n, 3n);
    },
    { name: "ScriptError", message: "Array overflow, check MAXMAPENTRIES" },
  );
  const declared = longs(1, { declaredSize: 1, most: 100 });
  declared.add(1n, "a");
  assert.throws(() => declared.add(1n, "b"), { message: "Array overflow, check size limit (1)" });
  declared.delete("a");
  declared.add(1n, "b");
});

test("a wrapping array drops its oldest element", () => {
  const array = longs(1, { declaredSize: 2, wraps: true });
  array.set(1n, "a");
  array.set(2n, "b");
  array.set(3n, "a");
  array.set(4n, "c");
  assert.deepEqual(keysOf(array), [["b"], ["c"]]);
});

test("keys of several parts do not run into each other", () => {
  const array = new LongArray({ name: "a", keyCount: 2, declaredSize: undefined, wraps: false }, 10_000);
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (a, b, c, d) => {
      array.clear();
      array.set(1n, a, b);
      array.set(2n, c, d);
      assert.equal(array.get(a, b), a === c && b === d ? 2n : 1n);
    }),
  );
  fc.assert(
    fc.property(fc.bigInt(), fc.string(), fc.bigInt(), fc.string(), (a, b, c, d) => {
      array.clear();
      array.set(1n, a, b, a);
      array.set(2n, c, d, c);
      assert.equal(array.get(a, b, a), a === c && b === d ? 2n : 1n);
    }),
  );
});

test("an array behaves as a list of pairs does", () => {
  const key = fc.integer({ min: 0, max: 5 }).map(BigInt);
  const command = fc.oneof(
    fc.record({ do: fc.constant("set" as const), key, value: fc.bigInt({ min: -9n, max: 9n }) }),
    fc.record({ do: fc.constant("delete" as const), key, value: fc.constant(0n) }),
    fc.record({ do: fc.constant("add" as const), key, value: fc.bigInt({ min: -9n, max: 9n }) }),
  );
  fc.assert(
    fc.property(fc.array(command), (commands) => {
      const array = longs(1);
      let model: [bigint, bigint][] = [];
      for (const { do: what, key: k, value } of commands) {
        const pair = model.find(([held]) => held === k);
        if (what === "delete") {
          array.delete(k);
          model = model.filter((held) => held !== pair);
          continue;
        }
        if (what === "set") array.set(value, k);
        else array.add(value, k);
        if (pair === undefined) model.push([k, value]);
        else pair[1] = what === "set" ? value : pair[1] + value;
      }
      assert.deepEqual(
        snapshot(array).map(({ keys, value }) => [keys[0], value]),
        model,
      );
    }),
  );
});

test("foreach sorts by key or value, either way, and keeps the order of equals", () => {
  const array = longs(2);
  array.set(5n, "b", 1n);
  array.set(7n, "a", 2n);
  array.set(5n, "c", 0n);
  const by = (order: Parameters<typeof snapshot>[1]): unknown => snapshot(array, order).map((e) => e.keys[0]);
  assert.deepEqual(by({ order: { by: { kind: "key", index: 0 }, direction: "ascending" } }), ["a", "b", "c"]);
  assert.deepEqual(by({ order: { by: { kind: "key", index: 1 }, direction: "descending" } }), [
    "a",
    "b",
    "c",
  ]);
  assert.deepEqual(by({ order: { by: { kind: "value" }, direction: "ascending" } }), ["b", "c", "a"]);
  assert.deepEqual(by({ order: { by: { kind: "value" }, direction: "descending" } }), ["a", "b", "c"]);
  assert.deepEqual(by({}), ["b", "a", "c"]);
});

test("foreach visits at most its limit, and nothing where that is not positive", () => {
  const array = longs(1);
  for (let i = 0n; i < 5n; i++) array.set(i, i);
  assert.equal(snapshot(array, { limit: 3n }).length, 3);
  assert.equal(snapshot(array, { limit: LONG_MAX }).length, 5);
  assert.equal(snapshot(array, { limit: 0n }).length, 0);
  assert.equal(snapshot(array, { limit: -1n }).length, 0);
});

test("a loop may delete what it visits", () => {
  const array = longs(1);
  for (let i = 0n; i < 5n; i++) array.set(i, i);
  for (const element of snapshot(array)) array.delete(...element.keys);
  assert.equal(array.size, 0);
});

test("slices", () => {
  const array = longs(2);
  array.set(1n, "a", 1n);
  array.set(2n, "a", 2n);
  array.set(3n, "b", 1n);
  assert.deepEqual(
    snapshot(array, { slice: ["a", undefined] }).map((e) => e.value),
    [1n, 2n],
  );
  assert.equal(hasSlice(array, [undefined, 2n]), true);
  assert.equal(hasSlice(array, ["b", 2n]), false);
  deleteSlice(array, [undefined, 1n]);
  assert.deepEqual(keysOf(array), [["a", 2n]]);
});

test("arrays of statistics sort by an aggregate", () => {
  const array = new StatisticArray(
    { name: "s", keyCount: 1, declaredSize: undefined, wraps: false },
    10,
    PLAIN_STATISTIC,
  );
  array.add(10n, "one");
  array.add(3n, "two");
  array.add(4n, "two");
  const by = (operator: "count" | "sum" | "min" | "max" | "avg"): unknown =>
    snapshot(array, { order: { by: { kind: "statistic", operator }, direction: "descending" } }).map(
      (e) => e.keys[0],
    );
  assert.deepEqual(by("count"), ["two", "one"]);
  assert.deepEqual(by("sum"), ["one", "two"]);
  assert.deepEqual(by("avg"), ["one", "two"]);
  assert.equal(array.get("none"), undefined);
});
