import assert from "node:assert/strict";
import { test } from "node:test";
import { INTRINSICS } from "../../src/ir/intrinsics.js";
import { HandlerContext } from "../../src/runtime/context.js";
import { DEFAULT_LIMITS } from "../../src/runtime/limits.js";
import { makeLibrary } from "../../src/handlers/js/library.js";
import { printed, run, SCENE } from "../script/run.js";

test("every function that the compiler knows is there", () => {
  const services = {
    limits: DEFAULT_LIMITS,
    strictFaults: false,
    print: () => undefined,
    warn: () => undefined,
    log: () => undefined,
    exit: () => undefined,
  };
  const library = makeLibrary(new HandlerContext(services), SCENE);
  assert.deepEqual(
    Object.keys(INTRINSICS).filter((name) => typeof library[name] !== "function"),
    [],
  );
});

test("functions of strings", () => {
  assert.equal(
    printed(
      'print(strlen("abc"), substr("hello", 1, 3), isinstr("abc", "bc"), strtol("ff", 16), stringat("A", 0))',
    ),
    "3ell125565",
  );
  assert.equal(printed('print(str_replace("a-b-c", "-", "+"), toupper("ab"), tolower("AB"))'), "a+b+cABab");
  assert.equal(printed('print(tokenize("a,b", ","), tokenize("", ","))'), "ab");
  assert.equal(printed('print(text_str("a\\tb"))'), "a\\tb");
});

test("integers of the target's memory, signed and unsigned", () => {
  const memory = { 0x1000: "\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8" };
  const show = (name: string): string => run(`probe begin { print(${name}(0x1000)) }`, { memory }).output;
  assert.equal(show("user_int8"), "-1");
  assert.equal(show("user_uint8"), "255");
  assert.equal(show("user_int16"), "-257");
  assert.equal(show("user_uint16"), "65279");
  assert.equal(show("user_int32"), String(0xfcfdfeff | 0));
  assert.equal(show("user_uint32"), String(0xfcfdfeff));
  assert.equal(show("user_int64"), BigInt.asIntN(64, 0xf8f9fafbfcfdfeffn).toString());
  assert.equal(show("user_uint64"), BigInt.asIntN(64, 0xf8f9fafbfcfdfeffn).toString());
});

test("strings of the target's memory end at their NUL, at the length asked for, or at MAXSTRINGLEN", () => {
  const memory = { 0x1000: "hello\0world\0" };
  const show = (call: string, limits = {}): string =>
    run(`probe begin { print(${call}) }`, { memory, limits }).output;
  assert.equal(show("user_string(0x1000)"), "hello");
  assert.equal(show("user_string_n(0x1000, 3)"), "hel");
  assert.equal(show("user_string_n(0x1000, 99)"), "hello");
  assert.equal(show("user_string(0x1000)", { MAXSTRINGLEN: 8 }), "hello");
  assert.equal(show("user_string_quoted(0x1006)"), '"world"');
  assert.equal(show("user_string_quoted(0)"), "0x0");
});

test("a read behind the end of the mapping faults at the byte that is not there", () => {
  const [outcome] = run("probe begin { user_long(0x1000) }", { memory: { 0x1000: "abc" } }).outcomes;
  assert.equal(outcome?.kind, "handler-fault");
  assert.equal(outcome.fault.address, 0x1003n);
});

test("an address that no pointer can hold is a fault too", () => {
  const { output } = run("probe begin { try { user_long(0x8000000000000000) } catch (m) { print(m) } }", {
    memory: { 0: "" },
  });
  assert.match(output, /fault.* at 0x8000000000000000/);
});

test("outside of a thread there is no process", () => {
  assert.equal(printed('print(pid(), tid(), "[" . execname() . "]", target())'), "00[]42");
});

test("clocks agree and do not run backwards", () => {
  assert.equal(
    printed(
      "s = gettimeofday_s(); n = gettimeofday_ns(); m = gettimeofday_ns(); print(n / 1000000000 - s <= 1, m >= n, get_cycles() <= get_cycles())",
    ),
    "111",
  );
});

test("randint stays under its bound", () => {
  assert.equal(printed("for (i = 0; i < 100; i++) if (randint(3) >= 3 || randint(3) < 0) print(i)"), "");
});
