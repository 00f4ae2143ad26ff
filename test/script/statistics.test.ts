import assert from "node:assert/strict";
import { test } from "node:test";
import { problemOf, run } from "./run.js";

test("a statistic tells count, sum, least, most, average and variance", () => {
  const script = `
    global s
    probe begin {
      for (i = 1; i <= 5; i++) s <<< i * 2
      print(@count(s), " ", @sum(s), " ", @min(s), " ", @max(s), " ", @avg(s), " ", @variance(s))
    }`;
  assert.equal(run(script).output, "5 30 2 10 6 10");
});

test("statistics are kept by key", () => {
  const script = `
    global s
    probe begin {
      s["a", 1] <<< 3; s["a", 1] <<< 4; s["b", 2] <<< 9
      foreach ([n, k] in s) printf("%s%d:%d,%d ", n, k, @count(s[n, k]), @sum(s[n, k]))
      print(["b", 2] in s, @count(s["c", 3]), ["c", 3] in s)
    }`;
  assert.equal(run(script).output, "a1:2,7 b2:1,9 100");
});

test("a logarithmic histogram is drawn as SystemTap draws it", () => {
  assert.deepEqual(
    run("global s; probe begin { s <<< 1; s <<< 3; s <<< 3; print(@hist_log(s)) }")
      .output.split("\n")
      .slice(0, 4),
    [
      "value |-------------------------------------------------- count",
      "    0 |                                                   0",
      "    1 |@                                                  1",
      "    2 |@@                                                 2",
    ],
  );
});

test("a linear histogram has its low, high and width", () => {
  assert.deepEqual(
    run("global s; probe begin { s <<< 5; s <<< 15; print(@hist_linear(s, 0, 20, 10)) }")
      .output.split("\n")
      .slice(0, 4),
    [
      "value |-------------------------------------------------- count",
      "    0 |@                                                  1",
      "   10 |@                                                  1",
      "   20 |                                                   0",
    ],
  );
});

test("one statistic has one shape of histogram, a sane one", () => {
  assert.match(
    problemOf("global s; probe begin { s <<< 1; print(@hist_log(s)); print(@hist_linear(s, 0, 9, 1)) }"),
    /inconsistent histogram parameters/,
  );
  assert.match(
    problemOf("global s; probe begin { s <<< 1; print(@hist_linear(s, 0, 9)) }"),
    /hist_linear takes low, high and interval/,
  );
  assert.match(problemOf("global s; probe begin { s <<< 1; x = @hist_log(s) }"), /can only be printed/);
});

test("what is read of an empty statistic: a count, and an error for the rest", () => {
  assert.equal(run("global s; probe begin { print(@count(s), @sum(s)) }").output, "00");
  assert.equal(run("global s; probe begin { x = @min(s) }").outcomes[0]?.kind, "error");
  assert.equal(run("global s; probe begin { print(@hist_log(s)) }").outcomes[0]?.kind, "error");
});
