import assert from "node:assert/strict";
import { test } from "node:test";
import { printed, problemOf } from "./run.js";

test("=~ reads POSIX's extended regular expressions", () => {
  assert.equal(printed('println("a b" =~ "^[[:alpha:]][[:space:]]b$", "ab" !~ "^a{2}")'), "11\n");
  assert.equal(printed('println("a.b" =~ "^a\\\\.b$", "axb" =~ "^a\\\\.b$")'), "10\n");
});

test("a bad pattern is a semantic error, with the place in the pattern and in the script", () => {
  assert.equal(
    problemOf('probe begin {\n  x = "a" =~ "a)"\n}'),
    [
      "semantic error: regex compilation error (at position 1): unbalanced ')': string 'a)' at test.stp:2:14",
      '        source:   x = "a" =~ "a)"',
      "                             ^",
    ].join("\n"),
  );
});

test("a string that would keep a backtracking matcher busy for ever is matched at once", () => {
  assert.equal(printed(`println("${"a".repeat(100)}!" =~ "^(a+)+$")`), "0\n");
});
