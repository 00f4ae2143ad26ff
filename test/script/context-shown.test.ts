import assert from "node:assert/strict";
import { test } from "node:test";
import type { Type } from "../../src/symbols/types/type.js";
import { run, type RunOptions } from "./run.js";
import {
  alias,
  array,
  BOOL,
  bytes,
  CHAR,
  code,
  codes,
  DOUBLE,
  fn,
  INT,
  LONG,
  names,
  pointer,
  struct,
  U8,
  UINT,
  ULONG,
  union,
  VOID,
} from "./types.js";

const AT = -0x7f000000;
const ADDRESS = BigInt.asUintN(64, BigInt(AT));

const COLOR: Type = {
  kind: "enum",
  name: "color",
  size: 4,
  signed: false,
  values: [{ name: "RED", value: 2n }],
};
const POINT = struct("point", [
  ["x", INT],
  ["y", INT],
]);
const THING = struct("thing", () => [
  ["id", UINT],
  ["delta", INT],
  ["letter", CHAR],
  ["on", BOOL],
  ["low", UINT, 3],
  ["high", INT, 5],
  ["where", POINT],
  ["name", array(CHAR, 8)],
  ["title", pointer(CHAR)],
  ["next", pointer(THING)],
  ["call", pointer(fn(INT, {}))],
  ["ratio", DOUBLE],
  ["color", COLOR],
  ["values", array(INT, 6)],
  [
    "",
    union("", [
      ["a", UINT],
      ["b", array(U8, 4)],
    ]),
  ],
]);

const BYTES =
  bytes([7n, 4], [-1n, 4], [0x0an, 1], [1n, 1], [5n | (0x1dn << 3n), 2], [3n, 4], [-4n, 4]) +
  "abc".padEnd(8, "\0") +
  bytes(
    [0n, 4],
    [ADDRESS + 0x200n, 8],
    [0n, 8],
    [0xffff_ffff_8100_0000n, 8],
    [0n, 8],
    [2n, 4],
    [1n, 4],
    [2n, 4],
    [3n, 4],
    [4n, 4],
    [5n, 4],
    [6n, 4],
    [0x6261n, 4],
    [0n, 4],
  );

const OPTIONS: RunOptions = {
  codes: codes(
    code(
      "f",
      fn(VOID, {
        thing: pointer(THING),
        count: INT,
        text: pointer(CHAR),
        any: pointer(VOID),
        two: pointer(pointer(POINT)),
        call: pointer(fn(VOID, {})),
      }),
      { types: names(THING, POINT) },
    ),
  ),
  memory: {
    [AT]: BYTES,
    [AT + 0x200]: 'a "title"\n\0',
    [AT + 0x300]: bytes([ADDRESS + 0x308n, 8], [8n, 4], [9n, 4]),
  },
  registers: {
    rdi: ADDRESS,
    rsi: -5n,
    rdx: ADDRESS + 0x200n,
    rcx: 0x1234n,
    r8: ADDRESS + 0x300n,
    r9: 0xffff_ffff_8100_0000n,
  },
};

function shown(expression: string, options: RunOptions = {}): string {
  const { output, outcomes } = run(`probe kernel.function("f") { print(${expression}) }`, {
    ...OPTIONS,
    ...options,
  });
  for (const outcome of outcomes) if (outcome.kind !== "returned") throw new Error(JSON.stringify(outcome));
  return output;
}

const FLAT = `.id=7, .delta=-1, .letter='\\n', .on=1, .low=5, .high=-3`;

test("$x$ shows one level", () => {
  assert.equal(
    shown("$thing$"),
    `{${FLAT}, .where={...}, .name=[...], .title="a \\"title\\"\\n", .next=0x0, .call=0xffffffff81000000, .ratio=?, .color=2, .values=[...], <union>={...}}`,
  );
});

test("$x$$ shows all levels, text as text, and no more than five elements", () => {
  assert.equal(
    shown("$thing$$"),
    `{${FLAT}, .where={.x=3, .y=-4}, .name="abc", .title="a \\"title\\"\\n", .next=0x0, .call=0xffffffff81000000, .ratio=?, .color=2, .values=[1, 2, 3, 4, 5, ...], <union>={.a=25185, .b="ab"}}`,
  );
});

test("members, elements, numbers and pointers are shown for themselves", () => {
  assert.equal(shown("$thing->where$"), "{.x=3, .y=-4}");
  assert.equal(shown("$thing->name$"), '"abc"');
  assert.equal(shown("$thing->values$"), "[1, 2, 3, 4, 5, ...]");
  assert.equal(shown("$thing->values[2]$"), "3");
  assert.equal(shown("$thing->letter$"), "'\\n'");
  assert.equal(shown("$thing->high$"), "-3");
  assert.equal(shown("$count$"), "-5");
  assert.equal(shown("$text$"), '"a \\"title\\"\\n"');
  assert.equal(shown("$any$"), "0x1234");
  assert.equal(shown("$two$"), "{.x=8, .y=9}");
  assert.equal(shown("$call$"), "<function>:0xffffffff81000000");
  assert.equal(shown('@cast($thing, "thing")->where$'), "{.x=3, .y=-4}");
});

test("[S1 pre] what cannot be read is shown as ERROR, and counts as a fenced fault", () => {
  const bad = { ...OPTIONS, registers: { rdi: 0x10n, rdx: 0x20n } };
  assert.equal(shown("$thing$", bad), "ERROR");
  assert.equal(shown("$text$", bad), "0x20");
  const { probe, outcomes } = run('probe kernel.function("f") { print($thing$, $text$) }', bad);
  assert.equal(probe.fencedFaults, 2);
  assert.deepEqual(outcomes, [{ kind: "returned" }]);
});

test("[S1 pre] so is what cannot be reached", () => {
  const body = `
    print($two$, " ", $thing->next->title$, " ", $thing->next->values[2]$, " ", $$parms$)
    try { x = $thing->next->title$; print(x, $two$) } catch { print("no") }`;
  const { output, probe, outcomes } = run(`probe kernel.function("f") { ${body} }`, {
    ...OPTIONS,
    registers: { rdi: ADDRESS, r8: 0n },
  });
  assert.equal(output.startsWith("ERROR ERROR ERROR thing={.id=7, "), true, output);
  assert.match(output, / count=0 text=0x0 any=0x0 two=ERROR call=<function>:0x0ERRORERROR$/);
  assert.deepEqual(outcomes, [{ kind: "returned" }]);
  assert.equal(probe.handlerFaults, 0);
});

test("[S7b pre] MAXFAULT bounds them too", () => {
  const bad = { ...OPTIONS, registers: { rdi: 0x10n }, limits: { MAXFAULT: 4 } };
  const [outcome] = run('probe kernel.function("f") { for (;;) print($thing$) }', bad).outcomes;
  assert.equal(outcome?.kind, "handler-fault");
});

test("lists of parameters show numbers, or with a suffix what they are", () => {
  const address = `0x${ADDRESS.toString(16)}`;
  assert.equal(
    shown("$$parms"),
    `thing=${address} count=0xfffffffffffffffb text=0xffffffff81000200 any=0x1234 two=0xffffffff81000300 call=0xffffffff81000000`,
  );
  assert.equal(shown("$$vars"), shown("$$parms"));
  assert.equal(shown("$$locals"), "");
  const small = {
    ...OPTIONS,
    codes: codes(
      code("f", fn(VOID, { p: pointer(POINT), s: struct("s", [["a", LONG]]), n: alias("size_t", ULONG) })),
    ),
    registers: { rdi: ADDRESS + 0x308n, rsi: 6n, rdx: 7n },
  };
  assert.equal(shown("$$parms", small), "p=0xffffffff81000308 s={...} n=0x7");
  assert.equal(shown("$$parms$", small), "p={.x=8, .y=9} s={.a=6} n=7");
  assert.equal(shown("$$vars$$", small), "p={.x=8, .y=9} s={.a=6} n=7");
});

test("no more than 32 values are shown, and no more than a string holds", () => {
  const wide = struct(
    "wide",
    Array.from({ length: 40 }, (_, index) => [`m${String(index)}`, LONG] as const),
  );
  const options = {
    codes: codes(code("f", fn(VOID, { w: pointer(wide) }))),
    memory: { [AT]: "\0".repeat(320) },
    registers: { rdi: ADDRESS },
  };
  const text = shown("$w$", options);
  assert.equal(text.slice(-20), ".m30=0, .m31=0, ...}");
  assert.equal(shown("$w$", { ...options, limits: { MAXSTRINGLEN: 10 } }), text.slice(0, 9));
});
