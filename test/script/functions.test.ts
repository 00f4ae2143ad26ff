import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, run } from "./run.js";

test("functions take and give longs and strings, by their uses or as declared", () => {
  assert.equal(run("function f(x) { return x * 2 } probe begin { print(f(4)) }").output, "8");
  assert.equal(run('function f(x) { return x . "!" } probe begin { print(f("a")) }').output, "a!");
  assert.equal(
    run('function f:string(a:long, b:string) { return b . sprint(a) } probe begin { print(f(1, "x")) }')
      .output,
    "x1",
  );
  assert.equal(run("function f(a:long):long { return a } probe begin { print(f(3)) }").output, "3");
});

test("types are found through calls in any order", () => {
  const script = `
    global a
    probe begin { a["q"] = 5; print(f("q"), g(1)) }
    function f(k) { return a[k] }
    function g(n) { return n ? h(n - 1) : "end" }
    function h(n) { return g(n) }`;
  assert.equal(run(script).output, "5end");
});

test("recursion, as deep as MAXNESTING", () => {
  const script =
    "function fac(n) { if (n <= 1) return 1; return n * fac(n - 1) } probe begin { print(fac(8)) }";
  assert.equal(run(script).output, "40320");
  assert.equal(
    errorOf(script, { limits: { MAXNESTING: 4 } }),
    "MAXNESTING exceeded near identifier 'fac' at test.stp:1:52",
  );
});

test("depth is counted right behind returns of every kind and behind fences", () => {
  const script = `
    function one() { return 1 }
    function none() { if (0) return 1 }
    function inside() { try { return 5 } catch { } return 6 }
    function broken() { for (i = 0; i < 3; i++) { try { if (i == 1) break } catch { } } return i }
    function bad() { error("x") }
    probe begin {
      for (j = 0; j < 50; j++) { one() none() inside() broken() try { bad() } catch { } }
      print(inside(), broken(), none())
    }`;
  assert.equal(run(script).output, "510");
});

test("a function without return gives nothing, and may be called as a statement", () => {
  assert.equal(run("global g; function f(x) { g += x } probe begin { f(2) f(3); print(g) }").output, "5");
});

test("arguments are evaluated from left to right", () => {
  assert.equal(
    run("function f(a, b) { return a * 10 + b } probe begin { i = 1; print(f(i++, i++)) }").output,
    "12",
  );
});

test("private names are names", () => {
  assert.equal(
    run("private global p; private function q() { return 3 } probe begin { p = q(); print(p) }").output,
    "3",
  );
});

test("a script's function stands in front of the library's of the same name", () => {
  const library = [
    {
      name: "lib.stp",
      text: "global hidden = 4 function f() { return hidden } function g() { return hidden }",
    },
  ];
  assert.equal(run("function f() { return 9 } probe begin { print(f(), g()) }", { library }).output, "94");
});

test("a script's function stands in front of a built-in one", () => {
  assert.equal(run('function strlen(s) { return 77 } probe begin { print(strlen("abc")) }').output, "77");
});
