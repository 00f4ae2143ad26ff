import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TraplineError } from "../../src/base/errors.js";
import { run } from "./run.js";

/** An expression as text, and its value as C would have it; undefined: a division by 0. */
interface Sample {
  readonly text: string;
  readonly value: bigint | undefined;
  /** How tight it binds: a looser part of a tighter whole needs parentheses. */
  readonly level: number;
}

/** Looser to tighter, as the language reference has them. */
const LEVEL = {
  ternary: 0,
  "||": 1,
  "&&": 2,
  "|": 3,
  "^": 4,
  "&": 5,
  compare: 7,
  shift: 8,
  add: 10,
  multiply: 11,
  unary: 12,
  primary: 13,
};
const wrap = (value: bigint): bigint => BigInt.asIntN(64, value);
const truth = (value: boolean): bigint => (value ? 1n : 0n);

const BINARY: Readonly<
  Record<string, readonly [level: number, apply: (a: bigint, b: bigint) => bigint | undefined]>
> = {
  "|": [LEVEL["|"], (a, b) => a | b],
  "^": [LEVEL["^"], (a, b) => a ^ b],
  "&": [LEVEL["&"], (a, b) => a & b],
  "<": [LEVEL.compare, (a, b) => truth(a < b)],
  ">=": [LEVEL.compare, (a, b) => truth(a >= b)],
  "==": [LEVEL.compare, (a, b) => truth(a === b)],
  "!=": [LEVEL.compare, (a, b) => truth(a !== b)],
  "<<": [LEVEL.shift, (a, b) => wrap(a << (b & 63n))],
  ">>": [LEVEL.shift, (a, b) => a >> (b & 63n)],
  "+": [LEVEL.add, (a, b) => wrap(a + b)],
  "-": [LEVEL.add, (a, b) => wrap(a - b)],
  "*": [LEVEL.multiply, (a, b) => wrap(a * b)],
  "/": [LEVEL.multiply, (a, b) => (b === 0n ? undefined : wrap(a / b))],
  "%": [LEVEL.multiply, (a, b) => (b === 0n ? undefined : a % b)],
};

const within = (part: Sample, level: number): string => (part.level < level ? `(${part.text})` : part.text);

/** Variables of every kind, with what they hold: the script sets them up front. */
const SETUP = 'a = 7; b = -3; g = 5000000000; e["k", 2] = -9;';
const VARIABLES: readonly Sample[] = [
  { text: "a", value: 7n, level: LEVEL.primary },
  { text: "b", value: -3n, level: LEVEL.primary },
  { text: "g", value: 5_000_000_000n, level: LEVEL.primary },
  { text: 'e["k", 2]', value: -9n, level: LEVEL.primary },
  { text: "same(a)", value: 7n, level: LEVEL.primary },
];

const leaf: fc.Arbitrary<Sample> = fc.oneof(
  fc.constantFrom(...VARIABLES),
  fc.bigInt(0n, 2n ** 63n - 1n).map((value) => ({ text: value.toString(), value, level: LEVEL.primary })),
  fc.nat(9).map((value) => ({ text: String(value), value: BigInt(value), level: LEVEL.primary })),
);

const { tree } = fc.letrec<{ tree: Sample }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc
      .tuple(fc.constantFrom(...Object.keys(BINARY)), tie("tree"), tie("tree"))
      .map(([operator, left, right]): Sample => {
        const [level, apply] = BINARY[operator] as (typeof BINARY)[string];
        const text = `${within(left, level)} ${operator} ${within(right, level + 1)}`;
        const known = left.value !== undefined && right.value !== undefined;
        return { text, level, value: known ? apply(left.value, right.value) : undefined };
      }),
    fc.tuple(fc.constantFrom("&&", "||"), tie("tree"), tie("tree")).map(([operator, left, right]): Sample => {
      const level = LEVEL[operator];
      const text = `${within(left, level)} ${operator} ${within(right, level + 1)}`;
      if (left.value === undefined) return { text, level, value: undefined };
      const decided = operator === "&&" ? left.value === 0n : left.value !== 0n;
      if (decided) return { text, level, value: truth(left.value !== 0n) };
      return { text, level, value: right.value === undefined ? undefined : truth(right.value !== 0n) };
    }),
    fc.tuple(fc.constantFrom("-", "!", "~"), tie("tree")).map(([operator, operand]): Sample => {
      // A blank between them: `--` is another operator.
      const text = `${operator} ${within(operand, LEVEL.unary)}`;
      const { value } = operand;
      if (value === undefined) return { text, level: LEVEL.unary, value };
      const result = operator === "-" ? wrap(-value) : operator === "!" ? truth(value === 0n) : ~value;
      return { text, level: LEVEL.unary, value: result };
    }),
    fc.tuple(tie("tree"), tie("tree"), tie("tree")).map(([condition, then, otherwise]): Sample => {
      const text = `${within(condition, 1)} ? ${then.text} : ${within(otherwise, 0)}`;
      if (condition.value === undefined) return { text, level: LEVEL.ternary, value: undefined };
      return { text, level: LEVEL.ternary, value: condition.value === 0n ? otherwise.value : then.value };
    }),
  ),
}));

test("any expression has the value that C gives it, with no parentheses but the needed ones", () => {
  fc.assert(
    fc.property(tree, ({ text, value }) => {
      const script = `
        global g, e
        function same(x) { return x }
        probe begin { ${SETUP} try { print(${text}) } catch (m) { print(m) } }`;
      assert.equal(run(script).output, value === undefined ? "division by 0" : value.toString(), text);
    }),
    { numRuns: 400 },
  );
});

const WORDS = [
  "probe",
  "begin",
  "global",
  "function",
  "foreach",
  "for",
  "if",
  "else",
  "in",
  "limit",
  "return",
  "delete",
  "next",
  "try",
  "catch",
  "while",
  "break",
  "x",
  "a",
  "f",
  "print",
  "1",
  "0x",
  '"s"',
  '"',
  "(",
  ")",
  "{",
  "}",
  "[",
  "]",
  "+",
  "++",
  "=",
  "<<<",
  ",",
  ";",
  ":",
  "?",
  "@count",
  "@define",
  "@M",
  "%(",
  "%)",
  "%?",
  "%:",
  "%{",
  "%}",
  "$1",
  "$x",
  "@hist_log",
  ".",
  "*",
  "#",
  "/*",
  "pre",
  "fault",
  "\n",
  "'",
];

test("nonsense of the language's own words runs or is refused by a located problem, and never crashes", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...WORDS), { maxLength: 25 }), (words) => {
      const inProbe = `global a probe begin { ${words.join(" ")} }`;
      for (const script of [words.join(" "), inProbe]) {
        try {
          run(script, { arguments: ["7"] });
        } catch (error) {
          assert.ok(error instanceof TraplineError, `${script}\n${String(error)}`);
          assert.match(error.message, /^(parse|semantic) error: [^]*(test\.stp:\d+:\d+|test\.stp EOF)\n/);
        }
      }
    }),
    { numRuns: 3000 },
  );
});
