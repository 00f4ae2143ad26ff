import assert from "node:assert/strict";
import { test } from "node:test";
import { compileGlob } from "../../src/symbols/glob.js";

const CASES: readonly [pattern: string, name: string, matches: boolean][] = [
  ["*", "", true],
  ["*", "anything", true],
  ["mem*", "memcpy", true],
  ["mem*", "xmemcpy", false],
  ["*cpy", "memcpy", true],
  ["*m*m*", "memmove", true],
  ["m?m*", "memcpy", true],
  ["?", "", false],
  ["[a-c]x", "bx", true],
  ["[a-c]x", "dx", false],
  ["[!a-c]x", "dx", true],
  ["[^a-c]x", "ax", false],
  ["[]a]x", "]x", true],
  ["[!]a]x", "]x", false],
  ["[a-]x", "-x", true],
  ["[[:digit:]]*", "7up", true],
  ["[[:digit:]]*", "up", false],
  ["[abc", "[abc", true],
  ["a\\*", "a*", true],
  ["a\\*", "ab", false],
  ["[\\]]", "]", true],
  ["lib*/libc.so.*", "lib/x86_64-linux-gnu/libc.so.6", true],
  ["{a,b}", "a", false],
  ["{a,b}", "{a,b}", true],
  ["operator[[]]", "operator[]", true],
];

test("patterns match what fnmatch(3) without flags matches", () => {
  for (const [pattern, name, matches] of CASES) {
    assert.equal(compileGlob(pattern).matches(name), matches, `${pattern} against ${name}`);
  }
});

test("a pattern without wildcards is an exact name, escapes undone", () => {
  assert.equal(compileGlob("memcpy").exact, "memcpy");
  assert.equal(compileGlob("a\\*b").exact, "a*b");
  assert.equal(compileGlob("mem*").exact, undefined);
  assert.equal(compileGlob("m[ab]").exact, undefined);
});

test("many stars against a long name that does not match take no exponential time", () => {
  const start = performance.now();
  assert.equal(compileGlob(`${"*a".repeat(50)}*b`).matches("a".repeat(5000)), false);
  assert.ok(performance.now() - start < 2000);
});

test("brackets that nothing closes are looked through once, however many there are", () => {
  const start = performance.now();
  for (const unit of ["[^?", "[\\]", "[[:a", "[a-"]) {
    const pattern = unit.repeat(20_000);
    assert.equal(compileGlob(pattern).matches("x"), false);
  }
  assert.ok(performance.now() - start < 5000);
  // What the first bracket cannot close, a later one can.
  assert.equal(compileGlob("[[:alpha:]").matches("[a"), true);
  assert.equal(compileGlob("[!a[b-]").matches("c"), true);
});
