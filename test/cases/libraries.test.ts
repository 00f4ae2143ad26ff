// Probe points in libraries that come and go, and names that stand for other places than their own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";

const GCC = needs("gcc");
const ROUNDS = 5;
/** How often loader.c loads its library. */
const LOADS = 3;
const CALLS = LOADS * ROUNDS;

/** Counts hits of points on loader.c. @returns what each counted, in their order */
function counts(...points: readonly string[]): number[] {
  const program = target("loader");
  const words = [target("plugin", "-shared", "-fPIC"), String(ROUNDS)];
  const bare = run(program, ...words);
  assert.equal(bare.status, 0);
  const probes = points.map((point, index) => `probe process${point} { n[${String(index)}]++ }`);
  const numbers = points.map((_, index) => `printf("%d ", n[${String(index)}])`);
  const outcome = trapline(
    "-e",
    `global n ${probes.join("\n")} probe end { ${numbers.join("; ")} }`,
    "-c",
    [program, ...words].join(" "),
  );
  assert.equal(outcome.stderr, "");
  assert.equal(outcome.status, 0);
  return printed(outcome, bare).trim().split(" ").map(Number);
}

test(
  "a library is probed each time that it is loaded, and its place is left alone when it has gone",
  GCC,
  () => {
    const plugin = target("plugin", "-shared", "-fPIC");
    assert.deepEqual(
      counts(
        `.library("${plugin}").function("plugin_work")`,
        `.library("${plugin}").function("inner")`,
        `("${plugin}").function("plugin_work")`,
        `.library("*plugin").function("plugin_work")`,
        `.library("*plugin").function("loaded")`,
      ),
      [CALLS, CALLS, CALLS, CALLS, LOADS],
    );
    const [returns, inner] = counts(
      `.library("*plugin").function("plugin_work").return`,
      `.library("*plugin").function("inner").return`,
    );
    assert.deepEqual([returns, inner], [CALLS, CALLS]);
  },
);

test("the name of an IFUNC stands for the implementation that was chosen", GCC, () => {
  assert.deepEqual(
    counts('.function("chosen")', '.function("cho*n")', '.function("chosen*")', '.function("chosen_plain")'),
    [4, 4, 4, 0],
  );
});

test("names for one address are one location; labels are found by their exact name only", GCC, () => {
  assert.deepEqual(
    counts(
      '.function("one_name")',
      '.function("other_name")',
      '.function("*_name")',
      '.function("a_label")',
      '.function("a_lab*")?',
    ),
    [8, 8, 8, 6, 0],
  );
});
