import assert from "node:assert/strict";
import { test } from "node:test";
import { compileHandlers } from "../../src/handlers/js/compile.js";
import { emit } from "../../src/handlers/js/emit.js";
import { Hit } from "../../src/probes/probe.js";
import { RETURNED } from "../../src/probes/outcome.js";
import { HandlerContext } from "../../src/runtime/context.js";
import { DEFAULT_LIMITS } from "../../src/runtime/limits.js";
import { NoTarget } from "../../src/targets/nothing.js";
import { compileText, printed, run, SCENE } from "../script/run.js";

test("counting is one addition on 64-bit cells, that makes no number of its own", () => {
  const { source } = emit(compileText("global n; probe begin { n++ }").program);
  assert.match(source, /^longs\[0\] \+= 1n;$/m);
});

test("a handler that returns costs no object", () => {
  const services = {
    limits: DEFAULT_LIMITS,
    strictFaults: false,
    print: () => undefined,
    warn: () => undefined,
    log: () => undefined,
    exit: () => undefined,
  };
  const { program } = compileText("global n; probe begin { n++ }");
  const [handler] = compileHandlers(program, new HandlerContext(services), SCENE);
  const hit = new Hit(new NoTarget());
  assert.ok(handler);
  assert.equal(handler(hit), RETURNED);
  assert.equal(handler(hit), RETURNED);
});

test("names of scripts never meet names of JavaScript or of the generated code", () => {
  const names = [
    "k",
    "g",
    "rt",
    "F",
    "longs",
    "strings",
    "value",
    "where",
    "old",
    "constructor",
    "__proto__",
    "toString",
    "let",
    "class",
    "arguments",
    "eval",
    "undefined",
    "hasOwnProperty",
  ];
  const script = names
    .map((name) => `global ${name}_a; function ${name}(${name}) { ${name}++; return ${name} }`)
    .join("\n");
  const body = names
    .map(
      (name) => `${name} = ${name}(1); ${name}_a[${name}] = ${name}(${name}); print(${name}, ${name}_a[2]);`,
    )
    .join(" ");
  assert.equal(run(`${script} probe begin { ${body} }`).output, "23".repeat(names.length));
  assert.equal(
    run(
      `global ${names.join(", ")} probe begin { ${names.map((name) => `${name}++; print(${name})`).join("; ")} }`,
    ).output,
    "1".repeat(names.length),
  );
});

test("text of a script is never code", () => {
  const nasty = String.raw`"\"); throw 1; (\"${"`"}\${1}\\\n\x00\xff"`;
  assert.equal(printed(`print(${nasty})`), '"); throw 1; ("`${1}\\\n\x00\xff');
  assert.equal(printed("print('x')".replaceAll("'", '"')), "x");
});

test("text with %, in print and its delimiters, is no format", () => {
  assert.equal(printed('print("%d%s%%") printd("%s", 1, 2)'), "%d%s%%1%s2");
});

test("two compilations of one program share nothing", () => {
  const script = "global n = 3, a; probe begin { n++; a[n] = 1; print(n, 4 in a, 5 in a) }";
  assert.equal(run(script).output, "410");
  assert.equal(run(script).output, "410");
});

test("a handler that overflows the stack is an error, not the end of the session", () => {
  const script = "function f(n) { return f(n + 1) } probe begin { f(0) } probe end { print(1) }";
  const { outcomes, output } = run(script, { limits: { MAXNESTING: 1000, MAXACTION: 1_000_000 } });
  assert.deepEqual(
    outcomes.map((outcome) => outcome.kind),
    ["error", "returned"],
  );
  assert.equal(output, "1");
});

test("there is no hit, and so no thread, outside of handlers", () => {
  const context = new HandlerContext({
    limits: DEFAULT_LIMITS,
    strictFaults: false,
    print: () => undefined,
    warn: () => undefined,
    log: () => undefined,
    exit: () => undefined,
  });
  assert.throws(() => context.hit, /no handler is being run/);
});

test("an error of a script notes no JavaScript stack, one raised behind the handler does again", () => {
  const script = "probe begin { try { user_long(0) } catch { print(1) } } probe end { user_long(0) }";
  const [, outcome] = run(script, { memory: {} }).outcomes;
  assert.equal(outcome?.kind, "handler-fault");
  assert.doesNotMatch(outcome.fault.stack ?? "", /\n\s+at /);
  assert.match(new Error("behind").stack ?? "", /\n\s+at /);
});
