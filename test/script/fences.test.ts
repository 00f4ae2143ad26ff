import assert from "node:assert/strict";
import { test } from "node:test";
import { printed, run } from "./run.js";

const MEMORY = { memory: { 0x1000: "hello\0" } };

test("a script error inside a try runs its catch with the message", () => {
  assert.equal(printed('try { error("x") } catch (m) { print("got ", m) }'), "got x");
  assert.equal(printed('try { x = 1 / 0 } catch { print("zero") } print("!")'), "zero!");
});

test("a catch without error is passed over", () => {
  assert.equal(printed('try { print("a") } catch { print("no") } print("b")'), "ab");
});

test("fences nest, and an error in a catch goes to the next one out", () => {
  assert.equal(
    printed('try { try { error("x") } catch (m) { error(m . "y") } } catch (n) { print(n) }'),
    "xy",
  );
  assert.equal(
    printed('try { error("a") } catch { try { error("b") } catch (m) { print(m) } } print("c")'),
    "bc",
  );
});

test("an error in a catch with no fence around ends the handler", () => {
  const [outcome] = run('probe begin { try { error("a") } catch (m) { error(m . m) } print("no") }').outcomes;
  assert.deepEqual(outcome, { kind: "error", message: "aa", where: "identifier 'error' at test.stp:1:46" });
});

test("a fence catches what functions called inside it raise", () => {
  assert.equal(
    run("function f(n) { return 1 / n } probe begin { try { f(0) } catch (m) { print(m) } print(f(1)) }")
      .output,
    "division by 01",
  );
});

test("a handler fault inside a fence is contained and counted", () => {
  const { output, probe, outcomes } = run(
    "probe begin { try { println(user_string(0x1000)) println(user_string(0x2000)) } catch (m) { println(m) } }",
    MEMORY,
  );
  assert.equal(output, "hello\nuser string copy fault -14 at 0x2000 [man error::fault]\n");
  assert.deepEqual(outcomes, [{ kind: "returned" }]);
  assert.equal(probe.fencedFaults, 1);
});

test("a handler fault outside of fences cancels the handler, with its place", () => {
  const [outcome] = run('probe begin {\n  user_long(0x2000)\n  print("no") }', MEMORY).outcomes;
  assert.equal(outcome?.kind, "handler-fault");
  assert.equal(outcome.where, "identifier 'user_long' at test.stp:2:3");
});

test("with strict faults it is a script error instead", () => {
  const [outcome] = run("probe begin { user_long(0x2000) }", { ...MEMORY, strictFaults: true }).outcomes;
  assert.equal(outcome?.kind, "error");
});

test("the second of five bad items is skipped, the others are printed", () => {
  const script = `
    probe begin {
      for (i = 0; i < 3; i++) {
        try { print(user_string(0x1000 + i * 0x800)) } catch { print("<bad>") }
      }
    }`;
  assert.equal(run(script, { memory: { 0x1000: "one\0", 0x2000: "three\0" } }).output, "one<bad>three");
});

test("[S1 pre] a message of its own makes user_string return it in place of a fault, which counts as fenced", () => {
  const { output, probe } = run('probe begin { print(user_string(0x2000, "none")) }', MEMORY);
  assert.equal(output, "none");
  assert.equal(probe.fencedFaults, 1);
  assert.equal(probe.handlerFaults, 0);
});

test("no fence outlives MAXACTION or MAXFAULT", () => {
  const [action] = run('probe begin { try { for (;;) x++ } catch { print("no") } }').outcomes;
  assert.equal(action?.kind, "error");
  const faults = "probe begin { for (i = 0; i < 9; i++) try { user_long(0) } catch { n++ } }";
  const { outcomes, hit } = run(faults, { ...MEMORY, limits: { MAXFAULT: 4 } });
  assert.equal(outcomes[0]?.kind, "handler-fault");
  assert.equal(hit.handlerFaults, 5);
});

test("MAXNESTING inside a fence is caught, and the depth is as before", () => {
  const script = `
    function deep(n) { return deep(n + 1) }
    function two(n) { return n ? two(n - 1) : 7 }
    probe begin { try { deep(0) } catch (m) { print(m) } print(" ", two(9)) }`;
  assert.equal(run(script).output, "MAXNESTING exceeded 7");
});

test("memory functions need a thread of the target", () => {
  const [outcome] = run("probe begin { user_long(0) }").outcomes;
  assert.equal(outcome?.kind, "error");
});

test("[S1 pre] a fault in a catch part goes to the fence around it, with its own message, from wherever it was read", () => {
  const script = `
    function deep() { return user_long(3) }
    probe begin {
      for (i = 0; i < 2; i++) {
        try {
          try { user_long(1); print("no") } catch (m) { printf("%s, ", m); x = user_long(2); print("no") }
        } catch (m) {
          printf("%s, ", m)
          try { x = 1 + deep(); print("no") } catch (m) { printf("%s; ", m); continue }
        }
        print("no")
      }
      try { for (i = 0; i < 3; user_long(4 + i++)) x++ } catch { printf("%d %d", i, x) }
    }`;
  const message = (at: number): string => `read fault [man error::fault] at 0x${String(at)}`;
  const { output, probe } = run(script, MEMORY);
  const round = `${message(1)}, ${message(2)}, ${message(3)}; `;
  assert.equal(output, `${round}${round}1 1`);
  assert.equal(probe.fencedFaults, 7);
  assert.equal(probe.handlerFaults, 0);
});
