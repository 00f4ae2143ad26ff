// What is said of the end of a guest's command, and of its machine.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NEEDS_LAB } from "../support/lab.js";
import { trapline } from "../support/programs.js";

void test("the exit status of a guest's command is told as a launched program's is", NEEDS_LAB, () => {
  const { stdout, stderr, status } = trapline("--lab", "-c", "exit 3", "-e", 'probe begin { println("b") }');
  assert.deepEqual(
    { stdout, stderr, status },
    { stdout: "b\n", stderr: "WARNING: Child process exited with status 3\n", status: 0 },
  );
});

void test("a kernel that panics is probed to its end, and the session says how it ended", NEEDS_LAB, () => {
  const script = 'probe kernel.function("panic") { printf("%s panics\\n", execname()) }';
  const { stdout, stderr } = trapline("--lab", "-c", "echo c > /proc/sysrq-trigger", "-e", script);
  assert.equal(stdout, "sh panics\n");
  assert.match(stderr, /^trapline: the guest's kernel panicked: sysrq triggered crash$/m);
});
