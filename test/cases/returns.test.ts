import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";

const GXX = needs("g++");

/** Calls, returns and sum of the values returned, as the program returns.cc has them. */
const FUNCTIONS = {
  "a recursive function": { name: "recursive", calls: 15, returns: 15, sum: 8 + 2 * 4 + 4 * 2 + 8 },
  // By itself ten times, and ten times by a jump from tail_caller.
  "a function that is also jumped to": { name: "leaf", calls: 20, returns: 20, sum: 90 + 110 },
  "a function that ends in a tail call": { name: "tail_caller", calls: 10, returns: 10, sum: 110 },
  "a function that leaves by longjmp every other time": { name: "jumper", calls: 10, returns: 5, sum: 20 },
  "a function that is jumped out of by its callee": { name: "around_jumper", calls: 10, returns: 5, sum: 25 },
  "a function that throws a C++ exception every other time": {
    name: "thrower",
    calls: 10,
    returns: 5,
    sum: 20,
  },
  "a function that catches one": { name: "catcher", calls: 10, returns: 10, sum: 520 - 5 },
  "a function with unusual ret instructions": { name: "two_sizes", calls: 10, returns: 10, sum: 75 },
} as const;

for (const [what, { name, calls, returns, sum }] of Object.entries(FUNCTIONS)) {
  test(`${what}: each of its returns is seen once, with its value`, GXX, () => {
    const program = target("returns");
    const bare = run(program);
    assert.equal(bare.status, 0);
    const outcome = trapline(
      "-e",
      `global calls, returns, sum
       probe process.function("${name}") { calls++ }
       probe process.function("${name}").return { returns++; sum += returnval() }
       probe end { printf("%d %d %d\\n", calls, returns, sum) }`,
      "-c",
      program,
    );
    assert.equal(printed(outcome, bare), `${String(calls)} ${String(returns)} ${String(sum)}\n`);
    assert.equal(outcome.stderr, "");
    assert.equal(outcome.status, 0);
  });
}

test("returns of all functions at once, at sites that they share, are told apart", GXX, () => {
  const program = target("returns");
  const bare = run(program);
  const names = Object.values(FUNCTIONS).map(({ name }) => name);
  const outcome = trapline(
    "-e",
    `global returns
     ${names.map((name) => `probe process.function("${name}").return { returns["${name}"]++ }`).join("\n")}
     probe end { foreach (name in returns) printf("%s %d\\n", name, returns[name]) }`,
    "-c",
    program,
  );
  const counted = new Map(
    printed(outcome, bare)
      .trimEnd()
      .split("\n")
      .map((line) => [line.split(" ")[0], Number(line.split(" ")[1])]),
  );
  for (const { name, returns } of Object.values(FUNCTIONS)) assert.equal(counted.get(name), returns, name);
});

test("what is asked of a function's entry is that of the very call that returns", GXX, () => {
  const program = target("returns");
  const bare = run(program);
  const outcome = trapline(
    "-e",
    `global good, returns
     probe process.function("recursive").return { returns++; good += returnval() == 1 << @entry(long_arg(1)) }
     probe process.function("leaf").return { returns++; good += returnval() == @entry(long_arg(1)) * 2 }
     probe process.function("tail_caller").return { returns++; good += returnval() == (@entry(long_arg(1)) + 1) * 2 }
     probe process.function("jumper").return { returns++; good += returnval() == @entry(long_arg(1)) }
     probe process.function("around_jumper").return { returns++; good += returnval() == @entry(long_arg(1)) + 1 }
     probe end { printf("%d of %d\\n", good, returns) }`,
    "-c",
    program,
  );
  assert.equal(printed(outcome, bare), "55 of 55\n");
  assert.equal(outcome.stderr, "");
});

test("a probe at the place that a function returns to does not hide the return", GXX, () => {
  const program = target("returns");
  const bare = run(program);
  const outcome = trapline(
    "-e",
    `global first, second
     probe process.function("leaf").return { first++ }
     probe process.function("leaf").return { second += returnval() }
     probe process.function("*").call { all++ }
     global all
     probe end { printf("%d %d %d\\n", first, second, all >= 95) }`,
    "-c",
    program,
  );
  assert.equal(printed(outcome, bare), "20 200 1\n");
});
