import assert from "node:assert/strict";
import { test } from "node:test";
import { type Registers, problemOf, run, type RunOptions } from "./run.js";
import {
  array,
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
  UINT,
  VOID,
} from "./types.js";

const AT = -0x7f000000;
const ADDRESS = BigInt.asUintN(64, BigInt(AT));

const BOX = struct("box", [
  ["size", INT],
  ["name", array(CHAR, 12)],
  ["values", array(INT, 4)],
]);
const OPEN = fn(INT, { box: pointer(BOX), flags: INT });
const MEMORY = {
  [AT]: bytes([7n, 4]) + "matchbox".padEnd(12, "\0") + bytes([1n, 4], [2n, 4], [3n, 4], [4n, 4]),
};
const REGISTERS: Registers = { rdi: ADDRESS, rsi: 0xff_0000_0003n };
const OPTIONS: RunOptions = {
  codes: codes(code("open", OPEN, { types: names(BOX), at: "return" })),
  memory: MEMORY,
  registers: REGISTERS,
  returns: { rdi: 0n, rsi: 0n, rax: 0x1_ffff_fffen },
};
const POINT = 'probe kernel.function("open").return';

function printed(body: string, options: RunOptions = {}): string {
  const { output, outcomes } = run(`${POINT} { ${body} }`, { ...OPTIONS, ...options });
  for (const outcome of outcomes) if (outcome.kind !== "returned") throw new Error(JSON.stringify(outcome));
  return output;
}

function problem(body: string, options: RunOptions = {}): string {
  return problemOf(`${POINT} { ${body} }`, { ...OPTIONS, ...options }).split("\n")[0] ?? "";
}

test("$return is the result by its type", () => {
  assert.equal(printed("print($return)"), "-2");
  const pointed = {
    ...OPTIONS,
    codes: codes(code("f", fn(pointer(BOX), {}), { types: names(BOX), at: "return" })),
  };
  assert.equal(printed("print($return->size)", { ...pointed, returns: { rax: ADDRESS } }), "7");
  assert.equal(printed("print($$return)"), "return=0xfffffffffffffffe");
});

test("what has no result that can be read says so", () => {
  const returning = (type: typeof VOID): RunOptions => ({
    codes: codes(code("f", fn(type, {}), { at: "return" })),
  });
  assert.match(problem("print($return)", returning(VOID)), /function f has no return value/);
  assert.equal(printed('print(@defined($return), "<", $$return, ">")', returning(VOID)), "0<>");
  assert.match(
    problem("print($return)", returning(DOUBLE)),
    /'\$return' of f cannot be read: it is returned in a floating-point register/,
  );
  const large = struct("large", [["a", array(LONG, 3)]]);
  assert.match(problem("print($return->a[0])", returning(large)), /larger than a register/);
});

test("parameters at a return are those of the entry", () => {
  assert.equal(printed('printdln(" ", $flags, $box->size, $box->values[2])'), "3 7 3\n");
  assert.equal(printed("print($$parms)"), `box=0x${ADDRESS.toString(16)} flags=0x3`);
  assert.equal(printed("print($box->name$)"), '"matchbox"');
});

test("@entry evaluates anything at the entry, strings too", () => {
  assert.equal(printed("print(@entry($flags + 1) + @entry($box->size))"), "11");
  assert.equal(printed("print(@entry(kernel_string($box->name)))"), "matchbox");
  assert.equal(printed('print(@entry(sprintf("%d!", $flags)))'), "3!");
  assert.equal(printed('print(@entry(@cast($box, "box")->size))'), "7");
});

test("@entry needs no types", () => {
  const options = { registers: { rdi: 5n }, returns: { rdi: 6n }, memory: MEMORY };
  const script =
    'probe process("x").function("f").return { print(@entry(register("rdi")), register("rdi")) }';
  assert.equal(run(script, options).output, "56");
});

test("an expression at the entry may use globals and functions, and no variables of the handler", () => {
  const script = `
    global n = 4
    function twice(x) { return 2 * x }
    ${POINT} { n = 9; print(@entry(twice(n) + $flags), n) }`;
  assert.equal(run(script, OPTIONS).output, "119");
  assert.match(problem("i = 1; print(@entry($flags + i))"), /'i' has no value at the entry of the function/);
  assert.match(problem("i = 1; print($box->values[i])"), /'i' has no value at the entry of the function/);
});

test("@cast of a parameter at a return reads at the return", () => {
  const body = 'print(@cast($box, "box")->size, $box->size)';
  assert.equal(printed(body), "77");
});

test("a value is evaluated once however often it is asked for", () => {
  const script = `global n ${POINT} { print(@entry(n++), @entry(n++), @entry(n++ + 1), $flags, $flags) }`;
  assert.equal(run(script, OPTIONS).output, "00233");
});

test("[S1 pre] a read that fails at the entry is raised at the return, where a fence catches it and no other value is lost", () => {
  const options = { ...OPTIONS, registers: { rdi: 0x10n, rsi: 3n } };
  const body = `
    try { print($box->size) } catch (m) { printf("<%s>", m) }
    try { x = @entry(kernel_string($box->name)); print(x) } catch (m) { printf("<%s>", m) }
    print($flags)`;
  const { output, probe, outcomes } = run(`${POINT} { ${body} }`, options);
  assert.equal(output, "<read fault [man error::fault] at 0x10><read fault [man error::fault] at 0x14>3");
  assert.deepEqual(outcomes, [{ kind: "returned" }]);
  assert.equal(probe.fencedFaults, 2);
});

test("[S2 pre] unfenced it cancels the handler at the return", () => {
  const { outcomes, output } = run(`${POINT} { print("a") print($box->size) print("b") }`, {
    ...OPTIONS,
    registers: { rdi: 0x10n },
  });
  assert.equal(output, "a");
  assert.equal(outcomes[0]?.kind, "handler-fault");
  assert.equal(outcomes[0].fault.address, 0x10n);
});

test("a script error at the entry is raised at the return", () => {
  const { outcomes, output } = run(
    `${POINT} { try { print(@entry(1 / ($flags - 3))) } catch (m) { print(m) } @entry(1 / ($flags - 3)) }`,
    OPTIONS,
  );
  assert.equal(output, "division by 0");
  assert.equal(outcomes[0]?.kind, "error");
});

test("an endless evaluation at the entry ends by MAXACTION", () => {
  const script = `function f() { for (;;) x++ return x } ${POINT} { print(@entry(f())) }`;
  const [outcome] = run(script, OPTIONS).outcomes;
  assert.equal(outcome?.kind, "error");
  assert.equal(outcome.message, "MAXACTION exceeded");
});

test("[S7b pre] too many faults at the entry are a fault at the return, and `next` there is an error", () => {
  const many = `
    function f() { for (i = 0; i < 9; i++) x .= kernel_string(7, "-") return x }
    ${POINT} { print("a") print(@entry(f())) print("b") }`;
  const { outcomes, output } = run(many, { ...OPTIONS, limits: { MAXFAULT: 4 } });
  assert.equal(output, "a");
  assert.equal(outcomes[0]?.kind, "handler-fault");
  assert.equal(run(many, OPTIONS).output, "a---------b");
  const next = `function f() { next; return 1 } ${POINT} { try { print(@entry(f())) } catch (m) { print(m) } }`;
  assert.equal(run(next, OPTIONS).output, "'next' in what is evaluated at an entry");
});

test("@defined at a return is about the entry and the return", () => {
  assert.equal(
    printed(
      "print(@defined($flags), @defined($return), @defined($nothing), @defined(@entry($box->nothing)))",
    ),
    "1100",
  );
});

test("unsigned results and parameters have no sign", () => {
  const unsigned = codes(code("open", fn(UINT, { a: UINT }), { at: "return" }));
  const options = { ...OPTIONS, codes: unsigned, registers: { rdi: -1n } };
  assert.equal(printed('printdln(" ", $return, $a)', options), "4294967294 4294967295\n");
});
