import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromBytes, fromText, toBytes, toText } from "../../src/runtime/byte-string.js";
import { escapeString, textStrn } from "../../src/runtime/escape.js";
import {
  Tokenizer,
  concatenate,
  isdigit,
  isinstr,
  str_replace,
  stringat,
  strlen,
  strpos,
  strtol,
  substr,
} from "../../src/runtime/strings.js";

test("bytes become text and come back, also those that are no UTF-8", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const held = fromBytes(bytes);
      assert.deepEqual([...toBytes(held)], [...bytes]);
      assert.equal(fromText(toText(held)), held);
      assert.equal(JSON.parse(JSON.stringify(toText(held))), toText(held));
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      assert.equal(toText(fromText(text)), text);
    }),
  );
});

test("overlong forms and encoded surrogates are not UTF-8", () => {
  assert.equal(toText("\xc0\x80"), "\udcc0\udc80");
  assert.equal(toText("\xed\xa0\x80"), "\udced\udca0\udc80");
  assert.equal(toText("\xef\xbb\xbfa"), "\ufeffa", "a byte order mark is kept");
});

test("strings are measured and cut by byte", () => {
  const accented = fromText("é!");
  assert.equal(strlen(accented), 3n);
  assert.equal(substr(accented, 2n, 5n), "!");
  assert.equal(substr("abcdef", 1n, 3n), "bcd");
  for (const [start, length] of [
    [-1n, 2n],
    [6n, 1n],
    [0n, 0n],
    [0n, -1n],
  ] as const) {
    assert.equal(substr("abcdef", start, length), "");
  }
  assert.equal(substr("abc", 0n, 2n ** 62n), "abc");
});

test("a byte of a string is a signed char", () => {
  assert.equal(stringat("a\xff", 0n), 97n);
  assert.equal(stringat("a\xff", 1n), -1n);
  assert.throws(() => stringat("a", 1n), { name: "ScriptError", message: "Position out of bounds" });
  assert.throws(() => stringat("a", -1n), { message: "Position out of bounds" });
});

test("finding", () => {
  assert.equal(isinstr("abc", "bc"), 1n);
  assert.equal(isinstr("abc", "x"), 0n);
  assert.equal(strpos("abc", "c"), 2n);
  assert.equal(strpos("abc", "x"), -1n);
  assert.equal(isdigit("7a"), 1n);
  assert.equal(isdigit("a7"), 0n);
  assert.equal(isdigit(""), 0n);
});

test("replacing and joining stop at MAXSTRINGLEN", () => {
  assert.equal(str_replace("a.b.c", ".", "--", 512), "a--b--c");
  assert.equal(str_replace("abc", "", "x", 512), "abc");
  assert.equal(str_replace("aaa", "a", "$&", 512), "$&$&$&");
  assert.equal(str_replace("aaa", "a", "xxx", 8), "xxxxxxx");
  assert.equal(concatenate("abcd", "efgh", 8), "abcdefg");
});

test("numbers in text", () => {
  const cases: readonly (readonly [string, bigint, bigint])[] = [
    ["123", 10n, 123n],
    ["-12x", 10n, -12n],
    ["0x1F", 0n, 31n],
    ["0x1F", 16n, 31n],
    ["1F", 16n, 31n],
    ["017", 0n, 15n],
    ["017", 10n, 17n],
    ["089", 0n, 0n],
    ["0x", 0n, 0n],
    ["", 10n, 0n],
    [" 1", 10n, 0n],
    ["+1", 10n, 0n],
    ["101", 2n, 5n],
    ["ffffffffffffffff", 16n, -1n],
    ["-9223372036854775808", 10n, -(2n ** 63n)],
  ];
  for (const [text, base, value] of cases) assert.equal(strtol(text, base), value, `${text} base ${base}`);
});

test("tokens come one after the other and are never empty", () => {
  const tokenizer = new Tokenizer();
  assert.equal(tokenizer.next("a,,b;c", ",;"), "a");
  assert.equal(tokenizer.next("", ",;"), "b");
  assert.equal(tokenizer.next("", ",;"), "c");
  assert.equal(tokenizer.next("", ",;"), "");
  assert.equal(tokenizer.next(",,", ","), "");
  assert.equal(tokenizer.next("x y", ","), "x y");
});

test("escaping: C escapes, octal, Unicode", () => {
  const options = { maxStringLength: 512, quoted: false };
  assert.equal(
    escapeString(fromText('a\n"\\\x07\x7fé€😀'), options),
    'a\\n\\"\\\\\\a\\177\\u00E9\\u20AC\\U0001F600',
  );
  assert.equal(escapeString("\xff\xc3", options), "\\377\\303");
  assert.equal(escapeString("a\0b", options), "a");
  assert.equal(escapeString("a\0b", { ...options, buffer: true }), "a\\000b");
  assert.equal(escapeString("ab", { ...options, quoted: true }), '"ab"');
});

test("what is cut is said so, and no escape is cut in two", () => {
  assert.equal(textStrn("abcdefghij", 8n, 1n, 512), '"abc"...');
  assert.equal(textStrn("abcdef", 8n, 1n, 512), '"abcdef"');
  assert.equal(textStrn("a\nb\nc\nd\n", 8n, 1n, 512), '"a\\n"...');
  assert.equal(textStrn("a\x01b", 5n, 0n, 512), "a\\001");
  assert.equal(textStrn("a\x01b", 4n, 0n, 512), "a");
  assert.equal(textStrn("abc", -1n, 0n, 512), "abc");
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 80 }),
      fc.integer({ min: 5, max: 63 }),
      (bytes, most) => {
        const quoted = escapeString(fromBytes(bytes), {
          maxStringLength: 64,
          quoted: true,
          outputLength: most,
        });
        assert.ok(quoted.length <= Math.max(most, 5), quoted);
        assert.match(
          quoted,
          /^"(?:[ !#-[\]-~]|\\[abfnrtv"\\]|\\[0-3][0-7]{2}|\\u[0-9A-F]{4}|\\U[0-9A-F]{8})*"(?:\.\.\.)?$/,
        );
      },
    ),
  );
});
