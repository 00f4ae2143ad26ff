import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { printed, run, valueOf } from "./run.js";

const long = fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n);
/** A long as a script writes it. */
const literal = (value: bigint): string =>
  value < 0n ? `(0x${BigInt.asUintN(64, value).toString(16)})` : value.toString();

for (const [operator, exact] of [
  ["+", (a: bigint, b: bigint) => a + b],
  ["-", (a: bigint, b: bigint) => a - b],
  ["*", (a: bigint, b: bigint) => a * b],
  ["&", (a: bigint, b: bigint) => a & b],
  ["|", (a: bigint, b: bigint) => a | b],
  ["^", (a: bigint, b: bigint) => a ^ b],
] as const) {
  test(`${operator} of any two longs wraps to 64 bits, in variables, globals and array elements`, () => {
    const script = (a: bigint, b: bigint): string => `
      global g, e, s
      probe begin {
        a = ${literal(a)}; b = ${literal(b)}
        g = a; g ${operator}= b
        e["k"] = a; e["k"] ${operator}= b
        s = a; t = (s ${operator}= b)
        println(a ${operator} b); println(g); println(e["k"]); println(t)
      }`;
    fc.assert(
      fc.property(long, long, (a, b) => {
        const wanted = BigInt.asIntN(64, exact(a, b)).toString();
        assert.equal(run(script(a, b)).output, `${wanted}\n`.repeat(4));
      }),
      { numRuns: 40 },
    );
  });
}

test("division and remainder are C's: towards zero, the sign of the dividend", () => {
  assert.equal(valueOf("-7 / 2"), -3n);
  assert.equal(valueOf("-7 % 3"), -1n);
  assert.equal(valueOf("7 % -3"), 1n);
  assert.equal(valueOf("0x8000000000000000 / -1"), -(2n ** 63n));
});

test("++ and -- give the old or the new value, and wrap", () => {
  assert.equal(printed("i = 1; j = i++ + ++i; println(i, j)"), "34\n");
  assert.equal(printed("i = 0x7fffffffffffffff; i++; println(i)"), "-9223372036854775808\n");
  assert.equal(
    printed("i = 0x8000000000000000; println(i--, i)"),
    "-92233720368547758089223372036854775807\n",
  );
  assert.equal(run('global a; probe begin { println(a["x"]--, ++a["x"]) }').output, "00\n");
});

test("numbers are decimal, octal or hexadecimal", () => {
  assert.equal(
    printed('println(10, " ", 010, " ", 0x1F, " ", -5, " ", 0xffffffffffffffff)'),
    "10 8 31 -5 -1\n",
  );
});

test("operators bind as SystemTap's parser binds them", () => {
  for (const [expression, value] of [
    ["1 + 2 * 3", 7n],
    ["1 << 2 + 1", 8n],
    ["5 & 3 == 3", 1n],
    ["1 | 2 ^ 3 & 2", 1n],
    ["1 || 0 && 0", 1n],
    ["!0 + 1", 2n],
    ["~5 & 7", 2n],
    ["- 2 * 3", -6n],
    ["1 ? 2 : 0 ? 3 : 4", 2n],
    ["10 - 3 - 2", 5n],
    ["2 < 3 == 1", 1n],
    ['"a" . "b" == "ab"', 1n],
    ["1 << 1 << 2", 8n],
  ] as const) {
    assert.equal(valueOf(expression), value, expression);
  }
});

test("a key is looked up after a comparison and before &", () => {
  assert.equal(run("global a; probe begin { a[1] = 1; println(0 + 1 in a & 1) }").output, "1\n");
});

test("shifts look at the low six bits of the count; >> keeps the sign, >>> does not", () => {
  assert.equal(valueOf("1 << 65"), 2n);
  assert.equal(valueOf("-8 >> 1"), -4n);
  assert.equal(valueOf("-1 >>> 60"), 15n);
});

test("&& and || do not evaluate their right side without need", () => {
  assert.equal(printed("x = 0; if (0 && ++x || 1 || ++x) println(x)"), "0\n");
});

test("an assignment is an expression", () => {
  assert.equal(printed("if ((x = 3) > 2) println(x)"), "3\n");
  assert.equal(printed("x = y = 3; println(x + y)"), "6\n");
  assert.equal(run("global a, b; probe begin { a[1] = b[2] = 5; println(a[1], b[2]) }").output, "55\n");
});

test("strings compare byte by byte, and join by .", () => {
  assert.equal(
    printed('println("a" < "b", "a" == "a", "b" >= "c", "a" != "a", " ", "b" . "c")'),
    "1100 bc\n",
  );
});

test("neighbouring literals are one string", () => {
  assert.equal(printed('println("a" "b" "c")'), "abc\n");
});

test("escapes are C's", () => {
  assert.equal(printed(String.raw`print("\x41\101\t\"\\\a\e")`), 'AA\t"\\\x07e');
});

test("text beyond ASCII is its UTF-8 bytes", () => {
  assert.equal(printed('println("é", strlen("é"))'), `${Buffer.from("é").toString("latin1")}2\n`);
});

test("the ternary takes its type from either branch", () => {
  assert.equal(printed('x = 0 ? "y" : "n"; println(x)'), "n\n");
  assert.equal(run("global g; probe begin { println(1 ? g : 7) }").output, "0\n");
});

test("=~ and !~ match regular expressions", () => {
  assert.equal(printed('println("abc" =~ "^a.c$", "abc" !~ "z", "abc" =~ "^b")'), "110\n");
});

test("variables that nothing assigned are 0 or empty", () => {
  assert.equal(run('global g, s; probe begin { x = g + 1; println(x, "[" . s . "]") }').output, "1[]\n");
});

test("strings longer than MAXSTRINGLEN - 1 bytes are cut wherever they are stored", () => {
  const options = { limits: { MAXSTRINGLEN: 8 } };
  const script = `
    global g, a, given = "0123456789"
    function id(s) { return s }
    probe begin {
      x = "0123456789"; g = "0123456789"; a[1] = "0123456789"
      println(x); println(g); println(a[1]); println(given)
      println(id("0123456789")); println(x . "abc"); println(sprintf("%d", 123456789))
      y = "abcd"; y .= "efghij"; println(y)
    }`;
  assert.equal(run(script, options).output, "0123456\n".repeat(6) + "1234567\nabcdefg\n");
});

test("what is printed is not cut", () => {
  assert.equal(printed('println("0123456789")', { limits: { MAXSTRINGLEN: 8 } }), "0123456789\n");
});
