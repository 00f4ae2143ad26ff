import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  LONG_MAX,
  LONG_MIN,
  divide,
  remainder,
  shiftLeft,
  shiftRight,
  shiftRightUnsigned,
  toInt32,
  wrap,
} from "../../src/runtime/integers.js";

const long = fc.bigInt({ min: LONG_MIN, max: LONG_MAX });

/** A second way to the same: two's complement on 64 binary digits. */
function bits(value: bigint): string {
  return (value < 0n ? 2n ** 64n + value : value).toString(2).padStart(64, "0");
}
function fromBits(text: string): bigint {
  const unsigned = BigInt(`0b${text}`);
  return text.startsWith("1") ? unsigned - 2n ** 64n : unsigned;
}

test("sums and products wrap as a 64-bit cell does", () => {
  const cell = new BigInt64Array(1);
  fc.assert(
    fc.property(long, long, (a, b) => {
      cell[0] = a + b;
      assert.equal(wrap(a + b), cell[0]);
      cell[0] = a * b;
      assert.equal(wrap(a * b), cell[0]);
    }),
  );
});

test("the most negative number divided by -1 is itself, with remainder 0", () => {
  assert.equal(divide(LONG_MIN, -1n), LONG_MIN);
  assert.equal(remainder(LONG_MIN, -1n), 0n);
});

test("division goes towards zero, the remainder has the dividend's sign", () => {
  assert.deepEqual([divide(-7n, 2n), remainder(-7n, 2n)], [-3n, -1n]);
  assert.deepEqual([divide(7n, -2n), remainder(7n, -2n)], [-3n, 1n]);
  fc.assert(
    fc.property(long, long, (a, b) => {
      fc.pre(b !== 0n);
      assert.equal(wrap(divide(a, b) * b + remainder(a, b)), a);
    }),
  );
});

test("division by zero is a script error in SystemTap's words", () => {
  assert.throws(() => divide(1n, 0n), { name: "ScriptError", message: "division by 0" });
  assert.throws(() => remainder(1n, 0n), { name: "ScriptError", message: "division by 0" });
});

test("shifts move bits, by the count's low six bits", () => {
  fc.assert(
    fc.property(
      long,
      fc.integer({ min: 0, max: 63 }),
      fc.integer({ min: -3, max: 3 }),
      (value, count, turns) => {
        const by = BigInt(count + 64 * turns);
        const text = bits(value);
        assert.equal(shiftLeft(value, by), fromBits(text.slice(count).padEnd(64, "0")));
        assert.equal(shiftRightUnsigned(value, by), fromBits(text.slice(0, 64 - count).padStart(64, "0")));
        assert.equal(shiftRight(value, by), fromBits(text.slice(0, 64 - count).padStart(64, text.charAt(0))));
      },
    ),
  );
});

test("an int is a long's low 32 bits", () => {
  assert.equal(toInt32(2n ** 32n + 5n), 5);
  assert.equal(toInt32(2n ** 31n), -(2 ** 31));
});
