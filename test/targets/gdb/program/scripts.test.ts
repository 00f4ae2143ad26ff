// The same scripts on a program behind gdbserver and on one that is traced by ptrace: the same output, of the
// script and of the program.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { needs } from "../../../support/needs.js";
import { target, trapline } from "../../../support/programs.js";

const NEEDS = needs("gcc", "gdbserver");
const folder = mkdtempSync(join(tmpdir(), "trapline-gdbserver-"));
after(() => {
  rmSync(folder, { recursive: true });
});

interface Ran {
  /** What the script printed. */
  readonly trace: string;
  /** What the program printed. */
  readonly output: string;
  readonly warnings: string;
  readonly status: number | null;
}

/** gdbserver's own words about what it does. */
const GDBSERVER_SAYS =
  /^(Process .* created; pid = \d+|stdin\/stdout redirected|Remote debugging using stdio|Child (exited|terminated) .*|Detaching from process \d+|\s*)$/;

function ran(how: "ptrace" | "gdbserver", script: string, program: string, words: readonly string[]): Ran {
  const [trace, output] = [join(folder, `${how}.trace`), join(folder, `${how}.output`)];
  const command = [program, ...words, `>${output}`].map((word) => `'${word}'`).join(" ");
  const on = how === "ptrace" ? ["-c", command] : ["--gdb", `| gdbserver --once - ${command}`];
  const { stdout, stderr, status } = trapline("-e", script, "-o", trace, ...on);
  // What a program prints that gdbserver starts comes with what gdbserver says.
  const lines = stderr.split("\n").filter((line) => how === "ptrace" || !GDBSERVER_SAYS.test(line));
  const isOurs = (line: string): boolean => /^(WARNING|ERROR|Try)/.test(line);
  const warnings = lines.filter(isOurs).join("\n");
  const printed = stdout + lines.filter((line) => line !== "" && !isOurs(line)).join("\n");
  // What is executed later, or does not live so long, sends nothing there.
  const text = (file: string): string => (existsSync(file) ? readFileSync(file, "latin1") : "");
  const result = { trace: text(trace), output: `${text(output)}${printed.trim()}`, warnings, status };
  for (const file of [trace, output]) rmSync(file, { force: true });
  return result;
}

/** Runs both, which must agree. @returns what the script printed */
function both(script: string, program: string, ...words: readonly string[]): string {
  const [one, other] = [ran("ptrace", script, program, words), ran("gdbserver", script, program, words)];
  assert.deepEqual(other, one);
  assert.notEqual(other.trace, "");
  return other.trace;
}

test("fenced and unfenced faults of handlers, with what could be read", NEEDS, () => {
  const trace = both(
    `global whole, cut
     probe process.function("the_store") {
       sp = register("rsp")
       try { println(user_int8(sp) - user_int8(sp), user_int8(8)) } catch (m) { println(m) }
       try { println(user_int8(-8)) } catch (m) { println(m) }
       whole++
       user_int32(16)
       cut++
     }
     probe end { printf("%d %d\\n", whole, cut) }`,
    target("faulty"),
  );
  assert.match(trace, /at 0x8$/m);
  assert.match(trace, /^10 0$/m);
});

test("faults of the instruction, with signal and address, and how often it is retried", NEEDS, () => {
  const trace = both(
    `global first
     function rel(at:long) { if (!first) first = at; return at - first }
     probe process.function("the_store") { printf("pre %d\\n", probe_retries()) }
     probe post process.function("the_store") { println("post") }
     probe fault process.function("the_store") {
       printf("fault %s %d %d\\n", fault_name(), fault_address() & 0xfff, fault_retryable())
     }
     probe fault process.function("the_divide") { printf("%s %d\\n", fault_name(), fault_retryable()) }
     probe post, fault process.function("the_trap") { printf("trap %d\\n", faulted()) }`,
    target("faulty"),
  );
  assert.match(trace, /^fault SIGSEGV /m);
  assert.match(trace, /^pre 1$/m);
});

test("return probes see what is returned, in functions that call themselves too", NEEDS, () => {
  const trace = both(
    `global calls, returns, sum
     probe process.function("leaf").call { calls++ }
     probe process.function("leaf").return { returns++; sum += register("rax") }
     probe end { printf("%d %d %d\\n", calls, returns, sum) }`,
    target("threads"),
    "5",
  );
  assert.match(trace, /^320 320 /);
});

test("64 threads through one instruction: each pass is counted, and post and return with it", NEEDS, () => {
  const trace = both(
    `global pre, post, threads, by
     probe process.function("the_pass") { pre++; by[tid()]++ }
     probe post process.function("the_pass") { post++ }
     probe process.thread.begin { threads++ }
     probe end { foreach (t in by) if (by[t] != 10) println("wrong"); printf("%d %d %d\\n", pre, post, threads) }`,
    target("threads"),
    "10",
  );
  assert.match(trace, /^640 640 /);
});

test("programs that execute others, and children of fork and vfork, are followed", NEEDS, () => {
  const again = target("again");
  const trace = both(
    `global steps, begins
     probe process("${again}").function("step") { steps++ }
     probe process("${again}").begin { begins++ }
     probe end { printf("%d %d\\n", steps, begins) }`,
    again,
    "2",
  );
  assert.equal(trace, "9 3\n");
});

for (const how of ["exec", "thread", "spawn"]) {
  test(`a program started by ${how} is probed as the one that starts it`, NEEDS, () => {
    const faulty = target("faulty");
    const trace = both(
      `global counted, stores
       probe process.function("counted") { counted++ }
       probe process("${faulty}").function("the_store") { stores++ }
       probe process("${faulty}").function("the_store").return { stores += 100 }
       probe end { printf("%d %d\\n", counted, stores) }`,
      target("executes"),
      how,
      faulty,
    );
    assert.match(trace, how === "spawn" ? /^10 / : /^5 /);
  });
}

test("system calls: entry, return, errors", NEEDS, () => {
  const trace = both(
    `global calls
     probe syscall.write, syscall.mprotect { calls[pp()]++ }
     probe syscall.*.return { calls["returns"]++ }
     probe post syscall.* { calls["posts"]++ }
     probe end { foreach (n+ in calls) printf("%s %d\\n", n, calls[n]) }`,
    target("faulty"),
  );
  assert.match(trace, /^syscall.write 1$/m);
});
