import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../src/base/errors.js";
import { MESSAGES, ScriptError } from "../../src/runtime/errors.js";
import { createGlobals } from "../../src/runtime/globals.js";
import { LongArray, StatisticArray, StringArray } from "../../src/runtime/arrays.js";
import { DEFAULT_LIMITS, parseDefinitions } from "../../src/runtime/limits.js";

test("without definitions limits are SystemTap's", () => {
  assert.deepEqual(parseDefinitions([]), DEFAULT_LIMITS);
  assert.equal(DEFAULT_LIMITS.MAXERRORS, 0);
  assert.equal(DEFAULT_LIMITS.MAXMAPENTRIES, 2048);
  assert.equal(DEFAULT_LIMITS.MAXFAULT, 64);
});

test("a definition sets its limit, the last one wins", () => {
  const limits = parseDefinitions(["MAXERRORS=5", "MAXERRORS=0x10", "HIST_ELISION=-1"]);
  assert.equal(limits.MAXERRORS, 16);
  assert.equal(limits.HIST_ELISION, -1);
});

test("begin and end probes may do ten times as much, unless told otherwise", () => {
  assert.equal(parseDefinitions(["MAXACTION=5"]).MAXACTION_INTERRUPTIBLE, 50);
  assert.equal(parseDefinitions(["MAXACTION_INTERRUPTIBLE=7", "MAXACTION=5"]).MAXACTION_INTERRUPTIBLE, 7);
});

test("limits of things that Trapline does not have are accepted", () => {
  assert.deepEqual(parseDefinitions(["STP_NO_OVERLOAD", "MAXTRYLOCK=5"]), DEFAULT_LIMITS);
});

test("a mistyped limit is refused with the nearest one", () => {
  const refused = (definition: string): UsageError => {
    try {
      parseDefinitions([definition]);
    } catch (error) {
      if (error instanceof UsageError) return error;
    }
    return assert.fail(`${definition} was accepted`);
  };
  assert.equal(refused("MAXEROR=1").remedy, "did you mean MAXERRORS?");
  assert.equal(refused("maxaction=1").remedy, "did you mean MAXACTION?");
  assert.match(refused("FOO=1").remedy ?? "", /^the limits are MAXERRORS, /);
  assert.match(refused("MAXERRORS").message, /not a number/);
  assert.match(refused("MAXERRORS=").message, /not a number/);
  assert.match(refused("MAXERRORS=1e3").message, /not a number/);
  assert.match(refused("MAXERRORS=-1").message, /must be 0 to/);
  assert.match(refused("MAXSTRINGLEN=4").message, /must be 8 to/);
  assert.match(refused("__proto__=4").message, /no such limit/);
});

test("a script error says what and near what, and MAXACTION is not caught", () => {
  const error = new ScriptError(MESSAGES.arrayOverflow(undefined));
  assert.equal(error.describe(), "Array overflow, check MAXMAPENTRIES");
  error.near = "identifier 'a' at t.stp:1:30";
  assert.equal(error.describe(), "Array overflow, check MAXMAPENTRIES near identifier 'a' at t.stp:1:30");
  assert.equal(error.catchable, true);
  assert.equal(new ScriptError(MESSAGES.actionLimit).catchable, false);
});

test("globals begin with what they are declared with", () => {
  const globals = createGlobals(
    [
      { name: "n", kind: "long", initial: 7n },
      { name: "s", kind: "string", initial: "x".repeat(20) },
      { name: "c", kind: "statistic" },
      { name: "a", kind: "array", element: "long", keyCount: 1 },
      { name: "b", kind: "array", element: "string", keyCount: 2, declaredSize: 1, wraps: true },
      { name: "d", kind: "array", element: "statistic", keyCount: 1 },
      { name: "z", kind: "long" },
    ],
    parseDefinitions(["MAXSTRINGLEN=16", "MAXMAPENTRIES=1"]),
  );
  assert.deepEqual([globals.longs[0], globals.longs[6]], [7n, 0n]);
  assert.equal(globals.strings[1], "x".repeat(15));
  assert.equal(globals.statistic(2).count, 0n);
  const [a, b, d] = [globals.array(3), globals.array(4), globals.array(5)];
  assert.ok(a instanceof LongArray && b instanceof StringArray && d instanceof StatisticArray);
  a.set(1n, 1n);
  assert.throws(
    () => {
      a.set(1n, 2n);
    },
    { message: "Array overflow, check MAXMAPENTRIES" },
  );
  b.set("1", 1n, 1n);
  b.set("2", 2n, 2n);
  assert.equal(b.size, 1);
  assert.throws(() => globals.array(0), TypeError);
  assert.throws(() => globals.statistic(3), TypeError);
});

test("a long global wraps by itself", () => {
  const { longs } = createGlobals([{ name: "n", kind: "long", initial: 2n ** 63n - 1n }], DEFAULT_LIMITS);
  longs[0] = (longs[0] ?? 0n) + 1n;
  assert.equal(longs[0], -(2n ** 63n));
});
