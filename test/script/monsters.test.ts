// Scripts that no person writes: compiled, or refused by a sentence, in bounded time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { compileText, problemOf } from "./run.js";

/** Generous: the slowest takes a second, and the machine may be busy. What these are about took minutes, or had no end. */
const MOST_MILLISECONDS = 20_000;

const inProbe = (body: string): string => `probe begin { ${body} }`;
const numbered = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join("\n");

function soon(compiles: () => unknown): void {
  const start = performance.now();
  compiles();
  assert.ok(performance.now() - start < MOST_MILLISECONDS);
}

for (const [what, text] of Object.entries({
  "two million comments": `${"#\n".repeat(2_000_000)}${inProbe("next")}`,
  "a conditional around a hundred thousand tokens": `%( 1 == 1 %? ${inProbe("x++;".repeat(34_000))} %)`,
  "a ring of 2,000 functions": `${numbered(2000, (index) => `function f${String(index)}(x) { return f${String((index + 1) % 2000)}(x) }`)}
    ${inProbe("print(f0(1))")}`,
  "a type that comes through 2,000 functions": `${numbered(2000, (index) => `function f${String(index)}() { return f${String(index + 1)}() }`)}
    function f2000() { return "end" } ${inProbe("print(f0())")}`,
  "5,000 variables that are never assigned": inProbe(numbered(5000, (index) => `x = y${String(index)}`)),
  "names of 100,000 characters": inProbe(`a${"x".repeat(100_000)} = 1; println(b${"x".repeat(100_000)})`),
})) {
  test(`${what} are compiled`, () => {
    soon(() => compileText(text));
  });
}

for (const [what, text, problem] of [
  [
    "conditionals in one another",
    "%( 1 == 1 %? ".repeat(20_000),
    /^parse error: more than 500 conditionals in one another\n {8}saw: operator '%\(' at test\.stp:1:6501\n/,
  ],
  [
    "a large macro, used often",
    `@define b %( ${"1;".repeat(50_000)}1 %) ${inProbe("@b;".repeat(9000))}`,
    /^parse error: macros expand to more than 1000000 tokens\n {8}saw: identifier '@b' at test\.stp:1:/,
  ],
  [
    "aliases that double thirty times",
    `${numbered(30, (index) => `probe a${String(index)} = a${String(index + 1)}, a${String(index + 1)} { x++ }`)}
     probe a30 = begin { y++ } probe a0 { next }`,
    /^semantic error: alias expansion of a\d+ gives more than 10000 points: identifier 'a0' at test\.stp:31:/,
  ],
  [
    "comments without an end",
    "/*x".repeat(300_000),
    /^parse error: comment without an end\n.*test\.stp:1:1\n/,
  ],
  ["embedded C without an end", "%{".repeat(500_000), /^parse error: embedded C code is not supported/],
] as const) {
  test(`${what} are refused`, () => {
    soon(() => {
      assert.match(problemOf(text), problem);
    });
  });
}
