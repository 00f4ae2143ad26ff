import assert from "node:assert/strict";
import { test } from "node:test";
import { problemOf, run } from "./run.js";

test("foreach gives keys and values to globals as well as to locals", () => {
  const script = `global a, k, v, n
    function show() { return sprintf("%d=%s ", k, v) }
    probe begin { a[3] = "x"; a[4] = "y"; foreach (v = [k] in a) print(show()); foreach (n in a) ; print(n) }
    probe end { print(" ", k, v) }`;
  assert.equal(run(script).output, "3=x 4=y 4 4y");
});

test("catch gives its message to a global as well as to a local", () => {
  assert.equal(
    run('global m; probe begin { try { error("e") } catch (m) { } } probe end { print(m) }').output,
    "e",
  );
});

test("what foreach and catch give is of a type, in locals and globals alike", () => {
  assert.match(
    problemOf('global m = 1; probe begin { try { error("e") } catch (m) { } }'),
    /^semantic error: type mismatch: expected long but found string/,
  );
  assert.match(
    problemOf("global a, k; probe begin { k[1] = 1; a[1] = 1; foreach (k in a) ; }"),
    /^semantic error: inconsistent arity/,
  );
});

test("a return without a value gives nothing of the type that the others give", () => {
  const script = `function number(x) { if (x) return; return 5 }
    function text(x) { if (x) return; return "five" }
    probe begin { println(number(0), number(1), "[", text(0), text(1), "]") }`;
  assert.equal(run(script).output, "50[five]\n");
});

test("parameters of one name are refused", () => {
  assert.match(
    problemOf("function f(a, b, a) { return a } probe begin { f(1, 2, 3) }"),
    /^parse error: duplicate parameter names\n {8}saw: identifier 'a' at test\.stp:1:18/,
  );
});
