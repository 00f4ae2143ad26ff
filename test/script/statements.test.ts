import assert from "node:assert/strict";
import { test } from "node:test";
import { errorOf, printed, run } from "./run.js";

test("semicolons are optional, and empty statements harmless", () => {
  assert.equal(printed('print("a") ; ; ; print("b") print("c");'), "abc");
  assert.equal(run("global g = 1 probe begin { println(g) } function z() { return 1 }").output, "1\n");
});

test("comments are #, // and /* */", () => {
  assert.equal(run('# a\n// b\n/* c\n d */ probe begin { print("x") /* e */ } # f').output, "x");
});

test("if, else if and else take single statements and blocks", () => {
  const body =
    'for (i = 0; i < 3; i++) if (i == 0) print("a") else if (i == 1) { print("b") } else print("c")';
  assert.equal(printed(body), "abc");
  assert.equal(printed('if (1) ; else print("no") print("yes")'), "yes");
});

test("while and for loop; break leaves, continue goes on with the step", () => {
  assert.equal(printed("x = 0; while (1) { if (++x > 5) break; if (x == 2) continue; print(x) }"), "1345");
  assert.equal(printed("for (i = 0; i < 5; i++) { if (i == 2) continue; print(i) }"), "0134");
  assert.equal(printed("for (;;) break; print(1)"), "1");
});

test("next leaves the handler, also from a loop, a fence and a function", () => {
  assert.equal(printed("print(1) next; print(2)"), "1");
  assert.equal(printed("print(1) next(); print(2)"), "1");
  assert.equal(printed('try { next } catch { print("no") } print("no")'), "");
  assert.equal(printed('for (;;) { next } print("no")'), "");
  assert.equal(run('function f() { next } probe begin { print(1) f() print("no") }').output, "1");
  assert.equal(
    run('function f() { next } probe begin { try { f() } catch { print("no") } print("no") }').output,
    "",
  );
});

test("a handler after one that left by next runs as ever", () => {
  assert.equal(run("function f() { next } probe begin { f() } probe end { print(2) }").output, "2");
});

test("delete takes an element, a whole array, a scalar and a local back to nothing", () => {
  const script = `
    global a, s, n = 5, t = "x"
    probe begin {
      a[1] = 1; a[2] = 2; delete a[1]; print(1 in a, 2 in a)
      delete a; print(2 in a)
      s <<< 4; delete s; print(@count(s))
      delete n; print(n); delete t; print("[" . t . "]")
      x = 7; delete x; print(x)
    }`;
  assert.equal(run(script).output, "0100" + "0[]0");
});

test("foreach goes in order of insertion, or sorted by a key or the value", () => {
  const script = (head: string): string => `
    global a
    probe begin {
      a["b", 2] = 30; a["c", 1] = 10; a["a", 3] = 20
      foreach (${head}) print(k)
    }`;
  assert.equal(run(script("[k, n] in a")).output, "bca");
  assert.equal(run(script("[k+, n] in a")).output, "abc");
  assert.equal(run(script("[k-, n] in a")).output, "cba");
  assert.equal(run(script("[k, n+] in a")).output, "cba");
  assert.equal(run(script("[k, n] in a+")).output, "cab");
  assert.equal(run(script("[k, n] in a- limit 2")).output, "ba");
  assert.equal(run(script("[k, n] in a limit 0")).output, "");
  assert.equal(run(script("[k, n] in a limit 1 + 1")).output, "bc");
});

test("foreach gives the value too, and takes break and continue", () => {
  const script = (body: string): string => `
    global a
    probe begin { for (i = 1; i <= 4; i++) a[i] = i * i; foreach (v = k in a) { ${body} } }`;
  assert.equal(run(script('print(k, "=", v, " ")')).output, "1=1 2=4 3=9 4=16 ");
  assert.equal(run(script("if (k == 2) continue; if (k == 4) break; print(k)")).output, "13");
});

test("foreach over statistics sorts by what is asked of them", () => {
  const script = (order: string): string => `
    global s
    probe begin {
      s["x"] <<< 10; s["x"] <<< 1; s["y"] <<< 20; s["z"] <<< 3; s["z"] <<< 3; s["z"] <<< 3
      foreach (k in s ${order}) print(k)
    }`;
  assert.equal(run(script("@sum-")).output, "yxz");
  assert.equal(run(script("@max+")).output, "zxy");
  assert.equal(run(script("@count- limit 1")).output, "z");
  assert.equal(run(script("@avg+")).output, "zxy");
});

test("an element may be deleted while foreach goes over the array", () => {
  assert.equal(
    run(
      "global a; probe begin { for (i = 0; i < 9; i++) a[i] = i; foreach (k in a) delete a[k]; foreach (k in a) print(k) }",
    ).output,
    "",
  );
});

test("* among the keys means any: in `in`, foreach and delete", () => {
  const script = (body: string): string => `
    global a
    probe begin { a["x", 1] = 10; a["y", 1] = 30; a["x", 2] = 20; ${body} }`;
  assert.equal(run(script('print(["x", *] in a, [*, 2] in a, ["z", *] in a, [*, *] in a)')).output, "1101");
  assert.equal(run(script("foreach ([s, n] in a[*, 1]) print(s, n)")).output, "x1y1");
  assert.equal(run(script('foreach (v = [s, n] in a["x", *]- limit 1) print(v)')).output, "20");
  assert.equal(run(script("delete a[*, 1]; foreach ([s, n] in a) print(s, n)")).output, "x2");
});

test("reading an element that is not there gives 0 or nothing and makes none", () => {
  assert.equal(
    run('global a, b; probe begin { print(a[1], "[" . b[1] . "]", 1 in a, 1 in b) }').output,
    "0[]00",
  );
});

test("keys are evaluated once by an assignment that reads its target", () => {
  assert.equal(
    run("global a; probe begin { i = 0; a[i++] += 5; a[i++]++; a[i++] *= 2; print(i, a[0], a[1]) }").output,
    "351",
  );
});

test("keys are evaluated in front of the value", () => {
  assert.equal(
    run("global a; probe begin { i = 0; a[i++] = i; x = (a[i++] = i); print(a[0], a[1], x) }").output,
    "122",
  );
});

test("compound assignments work on locals, globals and elements", () => {
  const body = (place: string): string =>
    `${place} = 6; ${place} += 2; ${place} -= 1; ${place} *= 3; ${place} /= 2; ${place} %= 7; ${place} <<= 3; ${place} >>= 1; ${place} |= 1; ${place} &= 13; ${place} ^= 2; print(${place}, " ")`;
  assert.equal(
    run(`global g, a; probe begin { ${body("x")} ${body("g")} ${body('a["k", 1]')} }`).output,
    "15 15 15 ",
  );
  assert.equal(
    run('global g, a; probe begin { s .= "a"; s .= "b"; g .= s; a[1] .= g; a[1] .= "c"; print(a[1]) }')
      .output,
    "abc",
  );
});

test("locals start anew for every handler call and every function call", () => {
  assert.equal(
    run("function f() { x++; return x } probe begin { print(f(), f()) y++ } probe end { y++; print(y) }")
      .output,
    "111",
  );
});

test("the print family", () => {
  assert.equal(printed('print(1, "a", 2)'), "1a2");
  assert.equal(printed("println()"), "\n");
  assert.equal(printed('printd(":", 1, "b", 3) printdln("%", 1, 2)'), "1:b:31%2\n");
  assert.equal(
    printed('printf("%-10s|%5d|%05d|%x|%#x|%c|%%|%o\\n", "ab", 42, 42, 255, 255, 65, 8)'),
    "ab        |   42|00042|ff|0xff|A|%|10\n",
  );
  assert.equal(
    printed(
      'print(sprint(1, "x") . sprintln(2) . sprintf("%d-%s", 3, "y") . sprintd(",", 4, 5) . sprintdln("/", 6, 7))',
    ),
    "1x2\n3-y4,56/7\n",
  );
});

test("log() ends its line, warn() goes to the warnings, exit() asks for the end and goes on", () => {
  const { output, warnings, exited } = run('probe begin { log("a") warn("b") exit() print("c") }');
  assert.deepEqual({ output, warnings, exited }, { output: "a\nc", warnings: ["b"], exited: true });
});

test("a script error ends its handler and says where", () => {
  assert.equal(errorOf("probe begin { x = 1/0 }"), "division by 0 near operator '/' at test.stp:1:20");
  assert.equal(errorOf("probe begin { x = 1 % x }"), "division by 0 near operator '%' at test.stp:1:21");
  assert.equal(
    errorOf("global g\nprobe begin {\n  g /= 0 }"),
    "division by 0 near operator '/=' at test.stp:3:5",
  );
  assert.equal(errorOf('probe begin { error("no") }'), "no near identifier 'error' at test.stp:1:15");
  assert.equal(
    errorOf("function f(x) {\n  return 1 / x\n}\nprobe begin {\n f(0)\n}"),
    "division by 0 near operator '/' at test.stp:2:12",
  );
  assert.equal(
    errorOf("global s; probe begin { x = @avg(s) }"),
    "empty aggregate near identifier '@avg' at test.stp:1:29",
  );
});
