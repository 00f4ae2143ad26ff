import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, problemOf, run } from "../script/run.js";

const MEMORY = { memory: { 0x1000: "hello\0" } };

test("an error that is only called like MAXACTION's is caught", () => {
  const { output } = run('probe begin { try { error("MAXACTION exceeded") } catch (m) { print(m) } }');
  assert.equal(output, "MAXACTION exceeded");
});

test("MAXFAULT counts the faults that a function answers by itself", () => {
  for (const call of [
    'user_string(8, "?")',
    "user_string_quoted(8)",
    "user_string_warn(8)",
    'user_string2(8, "?")',
  ]) {
    const script = `probe begin { for (i = 0; i < 9; i++) ${call} print("on") }`;
    assert.equal(run(script, { ...MEMORY, limits: { MAXFAULT: 9 } }).output, "on", call);
    const past = run(script, { ...MEMORY, limits: { MAXFAULT: 8 } });
    assert.equal(past.output, "", call);
    assert.equal(past.outcomes[0]?.kind, "handler-fault", call);
    assert.equal(past.hit.handlerFaults, 9, call);
  }
});

test("a fault past MAXFAULT is not caught by a fence around a function that answers by itself", () => {
  const script = 'probe begin { try { for (;;) user_string(8, "?") } catch { print("caught") } }';
  const { output, outcomes } = run(script, { ...MEMORY, limits: { MAXFAULT: 3 } });
  assert.equal(output, "");
  assert.equal(outcomes[0]?.kind, "handler-fault");
});

test("user_string_warn warns and goes on with what it was given", () => {
  const { output, warnings } = run(
    'probe begin { print(user_string_warn(8), user_string_warn(8, "?"), user_string_n_warn(0x1000, 2)) }',
    MEMORY,
  );
  assert.equal(output, "?he");
  assert.deepEqual(warnings, Array(2).fill("user string copy fault -14 at 0x8 [man error::fault]"));
});

test("user_string_quoted gives the address of what cannot be read", () => {
  const { output, outcomes } = run(
    "probe begin { println(user_string_quoted(8), user_string_n_quoted(-1, 3)) }",
    MEMORY,
  );
  assert.equal(output, "0x80xffffffffffffffff\n");
  assert.equal(outcomes[0]?.kind, "returned");
});

test("a fault of a memory dump is located", () => {
  const [outcome] = run('probe begin {\n  printf("%4m", 8)\n}', MEMORY).outcomes;
  assert.equal(outcome?.kind, "handler-fault");
  assert.equal(outcome.where, "identifier 'printf' at test.stp:2:3");
  assert.equal(run('probe begin { printf("100%% mM %.5m", 0x1000) }', MEMORY).output, "100% mM hello");
});

test("next out of functions leaves the handler each time, through fences", () => {
  const script =
    'global n; function f() { n++; next } probe begin { try { f() } catch { print("no") } print("no") } probe end { print(n) f() }';
  assert.equal(run(script).output, "1");
});

test("an error outside of any fence says where it was raised", () => {
  assert.equal(errorOf("probe begin {\n  x = 1 / 0\n}"), "division by 0 near operator '/' at test.stp:2:9");
});

test("what is let pass runs, up to the deepest nesting", () => {
  const most = 495;
  for (const body of [
    `x = ${Array(most).fill("1").join("+")}; print(x)`,
    `x = ${Array(most).fill('"a"').join(".")}; print(strlen(x) ? 495 : 0)`,
    `${"if (1) ".repeat(most)} print(495)`,
    `x = ${"0 ? 1 : ".repeat(most)} 495; print(x)`,
    `${"x = ".repeat(most)} 495; print(x)`,
  ]) {
    const { output, outcomes } = run(`probe begin { ${body} }`, { limits: { MAXACTION: 10_000 } });
    assert.equal(output, "495", JSON.stringify(outcomes));
  }
});

test("a script that nests too deeply is refused with a sentence", () => {
  const deep = 20_000;
  for (const body of [
    `x = ${"(".repeat(deep)}1${")".repeat(deep)}`,
    `x = ${Array(deep).fill("1").join("+")}`,
    `${"if (1) ".repeat(deep)} x = 1`,
    `x = ${"- ".repeat(deep)}1`,
  ]) {
    assert.match(
      problemOf(`probe begin { ${body} }`),
      /^parse error: more than 500 statements or expressions in one another/,
    );
  }
});
