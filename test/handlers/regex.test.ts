import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Regex } from "../../src/handlers/js/regex.js";
import { RegexProblem } from "../../src/ir/regex.js";

function matches(pattern: string, text: string): boolean {
  return new Regex(pattern).test(text);
}

test("a match may lie anywhere, ^ and $ bind it to the ends of the whole string", () => {
  assert.equal(matches("b", "abc"), true);
  assert.equal(matches("^b", "abc"), false);
  assert.equal(matches("^a.c$", "abc"), true);
  assert.equal(matches("c$", "abc"), true);
  assert.equal(matches("b$", "abc"), false);
  assert.equal(matches("^b", "a\nb"), false);
  assert.equal(matches("a$", "a\nb"), false);
  assert.equal(matches("a.b", "a\nb"), true);
});

test("anchors inside of a pattern hold where they stand", () => {
  assert.equal(matches("^$", ""), true);
  assert.equal(matches("$^", ""), true);
  assert.equal(matches("^$", "a"), false);
  assert.equal(matches("x|^a", "ba"), false);
  assert.equal(matches("(^|/)bin(/|$)", "/usr/bin"), true);
  assert.equal(matches("(^|/)bin(/|$)", "/usr/sbin"), false);
  assert.equal(matches("a^b", "a^b"), false);
  assert.equal(matches("(^a)*$", "b"), true);
});

test("an empty pattern, group or branch matches everything", () => {
  for (const pattern of ["", "()", "a|", "|a", "(|a)", "(?:)"])
    assert.equal(matches(pattern, "xyz"), true, pattern);
});

test("closures govern the last atom, braces count", () => {
  assert.equal(matches("^ab*$", "abbb"), true);
  assert.equal(matches("^ab*$", "abab"), false);
  assert.equal(matches("^(ab)+$", "abab"), true);
  assert.equal(matches("^a{2,3}$", "aa"), true);
  assert.equal(matches("^a{2,3}$", "aaaa"), false);
  assert.equal(matches("^a{2,}$", "aaaaa"), true);
  assert.equal(matches("^a{2}$", "aaa"), false);
  assert.equal(matches("^a{0}$", ""), true);
  assert.equal(matches("^a?b$", "b"), true);
  assert.equal(matches("^a**$", "aa"), true);
  assert.equal(matches("^(a*)*b$", "aab"), true);
});

test("brackets hold ranges, their complement, named classes and a ] at the beginning", () => {
  assert.equal(matches("^[a-c]+$", "abc"), true);
  assert.equal(matches("[^a-c]", "abc"), false);
  assert.equal(matches("^[]a]+$", "]a]"), true);
  assert.equal(matches("^[^]a]$", "b"), true);
  assert.equal(matches("^[a-]+$", "a-"), true);
  assert.equal(matches("^[[:digit:]_]+$", "12_3"), true);
  assert.equal(matches("^[[:space:]]+$", " \t\n\v\f\r"), true);
  assert.equal(matches("[[:upper:]]", "abc"), false);
  assert.equal(matches("^[[:punct:]]+$", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), true);
  assert.equal(matches("^[\\]]$", "]"), true);
});

test("a backslash takes the next character for itself", () => {
  assert.equal(matches("^a\\.b$", "a.b"), true);
  assert.equal(matches("^a\\.b$", "axb"), false);
  assert.equal(matches("^\\^\\$\\|$", "^$|"), true);
  assert.equal(matches("}", "}"), true);
});

test("bytes beyond ASCII are bytes", () => {
  assert.equal(matches("^.{2}$", "\xc3\xa9"), true);
  assert.equal(matches("[\x80-\xff]", "abc\xff"), true);
});

test("what is no regular expression is refused with the place", () => {
  for (const [pattern, message, position] of [
    ["*a", "unexpected '*'", 0],
    ["a|+", "unexpected '+'", 2],
    ["^*", "postfix closure '*' applied to anchoring operator", 1],
    ["a)", "unbalanced ')'", 1],
    ["(a", "expected ), found end of regex", 2],
    ["(?=a)", "unexpected '(?='", 2],
    ["[a", "unclosed character class", 2],
    ["[[:nope:]]", "unknown character class 'nope'", 1],
    ["[z-a]", "Inverted character range z-a", 4],
    ["a{x}", "expected number", 2],
    ["a{1", "expected }, found end of regex", 3],
    ["a{12345}", "12345 is too large", 2],
    ["a{3,2}", "inverted repetition {3,2}", 1],
    ["a\\", "unexpected end of regex", 2],
    ["(((a{99}){99}){99})", "the repetitions make it too large", undefined],
    ["((((){9999}){9999}){9999})", "the repetitions make it too large", undefined],
  ] as const) {
    assert.throws(
      () => new Regex(pattern),
      (error) => error instanceof RegexProblem && error.message === message && error.position === position,
      pattern,
    );
  }
  assert.throws(() => new Regex("(".repeat(100_000)), RegexProblem);
  assert.throws(() => new Regex(`a${"*".repeat(100_000)}`), RegexProblem);
});

test("a string of a target cannot make a match take long", () => {
  const regex = new Regex("^(a+)+(b|c)*(a|a)*$");
  const began = process.hrtime.bigint();
  assert.equal(regex.test("a".repeat(200_000) + "!"), false);
  // A matcher that tries one way after the other would need longer than the universe has.
  assert.ok(process.hrtime.bigint() - began < 2_000_000_000n);
});

test("a pattern with more states than are kept stays right", () => {
  const regex = new Regex("a.{12}$");
  const naive = (text: string): boolean => text.at(-13) === "a";
  let seed = 1;
  for (let round = 0; round < 300; round++) {
    let text = "";
    for (let index = 0; index < 60; index++) {
      seed = (seed * 48271) % 2147483647;
      text += seed % 3 === 0 ? "a" : "b";
    }
    assert.equal(regex.test(text), naive(text), text);
  }
});

test("a match agrees with another engine's, on random patterns and strings", () => {
  const atom = fc.constantFrom("a", "b", "c", ".", "[ab]", "[^a]");
  const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
    pattern: fc.oneof(
      { maxDepth: 4 },
      atom,
      fc.tuple(tie("pattern"), tie("pattern")).map(([one, other]) => one + other),
      fc.tuple(tie("pattern"), tie("pattern")).map(([one, other]) => `(${one}|${other})`),
      fc
        .tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "{2}", "{1,2}", "{0,1}"))
        .map(([one, sign]) => `(${one})${sign}`),
      tie("pattern").map((one) => `(^${one})`),
      tie("pattern").map((one) => `(${one}$)`),
    ),
  }));
  const text = fc
    .array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 8 })
    .map((letters) => letters.join(""));
  fc.assert(
    fc.property(pattern, fc.array(text, { minLength: 1, maxLength: 6 }), (source, texts) => {
      const regex = new Regex(source);
      const other = new RegExp(source, "s");
      for (const each of texts) assert.equal(regex.test(each), other.test(each), `${source} on ${each}`);
    }),
    { numRuns: 2000 },
  );
});
