import assert from "node:assert/strict";
import { test } from "node:test";
import { compileText, problemOf, run } from "./run.js";

const points = (script: string): string[] =>
  compileText(script).probes.map((probe) =>
    probe.points
      .map((point) =>
        point.components
          .map((each) => each.name + (each.argument === undefined ? "" : `(${String(each.argument)})`))
          .join("."),
      )
      .join(", "),
  );
const phases = (script: string): readonly string[] => compileText(script).probes[0]?.phases ?? [];
const mentions = (script: string): boolean => compileText(script).probes[0]?.mentionsFault ?? false;

test("points have components, arguments, wildcards and suffixes", () => {
  const [probe] = compileText(
    'probe process("/bin/ls").function("m*").call?, timer.s(5)!, syscall.*64.return { }',
  ).probes;
  assert.deepEqual(
    probe?.points.map(({ optional, sufficient }) => ({ optional, sufficient })),
    [
      { optional: true, sufficient: false },
      { optional: false, sufficient: true },
      { optional: false, sufficient: false },
    ],
  );
  assert.deepEqual(points('probe process("/bin/ls").statement(0x40).x, syscall.*64.return { }'), [
    "process(/bin/ls).statement(64).x, syscall.*64.return",
  ]);
});

test("phases stand in front of the points, alone or combined", () => {
  assert.deepEqual(phases("probe syscall.open { }"), []);
  assert.deepEqual(phases("probe pre syscall.open { }"), ["pre"]);
  assert.deepEqual(phases("probe post syscall.open { }"), ["post"]);
  assert.deepEqual(phases("probe fault syscall.open { }"), ["fault"]);
  assert.deepEqual(phases("probe post, fault syscall.open { }"), ["post", "fault"]);
  assert.deepEqual(phases("probe pre, post, fault a.b, c.d { }"), ["pre", "post", "fault"]);
});

test("pre, post and fault are still names: of variables, functions, arrays and aliases", () => {
  assert.equal(run("probe begin { post = 1; fault = 2; pre = 3; print(post, fault, pre) }").output, "123");
  assert.equal(
    run("global pre; function post(fault) { return fault } probe begin { pre[1] = post(4); print(pre[1]) }")
      .output,
    "4",
  );
  assert.deepEqual(points("probe fault = begin { } probe fault { }"), ["begin"]);
  assert.deepEqual(phases("probe fault = begin { } probe fault { }"), []);
  assert.deepEqual(points("probe pre.x = begin { } probe post pre.x { }"), ["begin"]);
});

test("an alias puts its body in front of the probe's, or behind it with +=", () => {
  assert.equal(run("probe foo = begin { x = 1 } probe foo { print(x) }").output, "1");
  assert.equal(run("probe foo += begin { print(x) } probe foo { x = 2 }").output, "2");
  assert.equal(run('probe a = begin { s = "a" } probe b = a { s .= "b" } probe b { print(s) }').output, "ab");
});

test("an alias stands for several points and takes what follows it", () => {
  assert.deepEqual(points("probe foo.bar = begin, end { } probe foo.bar { }"), ["begin, end"]);
  assert.deepEqual(points('probe lib = process("x").function("f") { } probe lib.return { }'), [
    "process(x).function(f).return",
  ]);
});

test("the body of an alias runs at its own points only", () => {
  const script = 'probe foo = begin { x = 5 } probe foo, end { print("[", x, "]") }';
  assert.deepEqual(points(script), ["begin", "end"]);
  assert.equal(run(script).output, "[5][0]");
});

test("a wildcard stands for every alias that it matches, each point once", () => {
  const aliases = `probe s.a = process("p").function("a") {} probe s.b = process("p").function("b") {}
    probe s.c = s.a {} probe s.a.return = process("p").function("a").return {}`;
  const texts = (script: string): string[] =>
    points(`${aliases} ${script}`).flatMap((each) => each.split(", "));
  assert.deepEqual(texts("probe s.* {}"), ["process(p).function(a)", "process(p).function(b)"]);
  assert.deepEqual(texts("probe s.*.return {}").sort(), [
    "process(p).function(a).return",
    "process(p).function(b).return",
  ]);
  assert.deepEqual(texts("probe s.b* {}"), ["process(p).function(b)"]);
  assert.deepEqual(texts("probe s.x* {}"), ["s.x*"]);
  assert.deepEqual(texts("probe s.a, s.a {}"), ["process(p).function(a)", "process(p).function(a)"]);
});

test("an alias with a wildcard of its own gives the word on", () => {
  const alias = "probe nd_syscall.* = syscall.* {}";
  assert.deepEqual(points(`${alias} probe nd_syscall.open.return {}`), ["syscall.open.return"]);
  assert.deepEqual(points(`${alias} probe nd_syscall.* {}`), ["syscall.*"]);
});

test("a script's alias hides the library's of its name", () => {
  const library = [{ name: "tapset/x.stp", text: "probe a.b = begin { x = 1 } probe a.c = end { x = 2 }" }];
  assert.equal(run("probe a.b = end { x = 3 } probe a.b { print(x) }", { library }).output, "3");
  assert.equal(run("probe a.b = end { x = 3 } probe a.c { print(x) }", { library }).output, "2");
});

test("what an alias computes and a probe does not use is not computed", () => {
  const library = [
    {
      name: "tapset/x.stp",
      text: `global calls function bad() { return user_long(8) } function loud() { calls++ return 1 }
        function mine(n) { t = n * 2 return t }
        probe a = begin {
          name = "a" x = bad() y = user_string(x) argstr = sprintf("%d %s", x, y)
          if (x > 1) argstr .= "more"
          z = loud() w = mine(z)
        }`,
    },
  ];
  // The reads would fault; the call that counts is made all the same.
  assert.equal(run("probe a { print(name, calls) }", { library }).output, "a1");
  assert.equal(run("probe a { print(w, calls) }", { library }).output, "21");
  assert.equal(run("probe a { print(argstr) }", { library }).outcomes[0]?.kind, "error");
  // The probe's own body is as it was written.
  assert.equal(run("probe a { unused = user_long(8) }", { library }).outcomes[0]?.kind, "error");
});

test("a body that asks about the instruction fault is told, also through functions and aliases", () => {
  assert.equal(mentions("probe begin { print(pid()) }"), false);
  assert.equal(mentions("probe begin { if (faulted()) print(1) }"), true);
  assert.equal(
    mentions("function f() { return g() } function g() { return fault_name() } probe begin { f() }"),
    true,
  );
  assert.equal(
    mentions("function f(n) { return n ? f(n - 1) : fault_address() } probe begin { f(2) }"),
    true,
  );
  assert.equal(mentions("function f(n) { return n ? f(n - 1) : 0 } probe begin { f(2) }"), false);
  assert.equal(mentions("probe foo = begin { x = fault_str() } probe foo { print(x) }"), true);
  assert.equal(mentions("probe begin { fault_name = 1; print(fault_name) }"), false);
  assert.equal(mentions("probe begin { print(probe_retries()) }"), false);
});

test("the functions about the instruction fault say what the hit knows", () => {
  const fault = { name: "SIGSEGV", number: 11, code: 1, address: 0x10n, retryable: true };
  const script =
    'probe begin { printf("%d %s %#x %d %d|%s", faulted(), fault_name(), fault_address(), fault_code(), fault_retryable(), fault_str()) }';
  assert.equal(run(script, { fault }).output, "1 SIGSEGV 0x10 1 1|SIGSEGV at 0x10 (code 1)");
  assert.equal(run(script).output, "0  0x0 0 0|");
});

test("globals take initial values, -G replaces them", () => {
  const script = 'global x = 5, y = "s", z = -3, w; probe begin { print(x, y, z, w + 1) }';
  assert.equal(run(script).output, "5s-31");
  assert.equal(
    run(script, { globals: { x: "0x10", y: "é", z: "-1", w: "8" } }).output,
    `16${Buffer.from("é").toString("latin1")}-19`,
  );
  assert.match(problemOf(script, { globals: { x: "no" } }), /-G x=no: a number is wanted/);
  assert.match(problemOf(script, { globals: { q: "1" } }), /-G q: the script has no such global/);
});

test("globals are shared by all handlers", () => {
  assert.equal(run("global n; probe begin { n += 2 } probe end { n++; print(n) }").output, "3");
});

test("an array holds as many elements as it declares, or MAXMAPENTRIES; % makes it forget", () => {
  const fill = "probe begin { for (i = 0; i < 4; i++) a[i] = i; foreach (k in a) print(k) }";
  const error = (script: string, limits = {}): unknown => {
    const [outcome] = run(script, { limits }).outcomes;
    return outcome?.kind === "error" ? `${outcome.message} near ${outcome.where}` : outcome?.kind;
  };
  assert.equal(
    error(`global a[2]; ${fill}`),
    "Array overflow, check size limit (2) near identifier 'a' at test.stp:1:52",
  );
  assert.equal(
    error(`global a; ${fill}`, { MAXMAPENTRIES: 3 }),
    "Array overflow, check MAXMAPENTRIES near identifier 'a' at test.stp:1:49",
  );
  assert.equal(run(`global a%[2]; ${fill}`).output, "23");
  assert.equal(run(`global a[2]%; ${fill}`).output, "23");
});

test("MAXACTION bounds a handler, and the error names the statement", () => {
  const script = "probe begin {\n for (i = 0; i < 50; i++)\n  x++\n}";
  assert.deepEqual(run(script, { limits: { MAXACTION: 1000 } }).outcomes, [{ kind: "returned" }]);
  const [outcome] = run(script, { limits: { MAXACTION: 2 } }).outcomes;
  assert.deepEqual(outcome, {
    kind: "error",
    message: "MAXACTION exceeded",
    where: "keyword at test.stp:2:2",
  });
});
