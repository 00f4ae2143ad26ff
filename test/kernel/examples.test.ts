// The kernel scripts of examples/ do what they say, in a machine of their own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { NEEDS_LAB } from "../support/lab.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PATIENCE_MS = 240_000;

function inLab(command: string, example: string, ...words: readonly string[]): string {
  const script = `${ROOT}examples/${example}`;
  const args = [`${ROOT}dist/cli/main.js`, "--lab", "-c", command, script, ...words];
  const done = spawnSync(process.execPath, args, { encoding: "utf8", timeout: PATIENCE_MS });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout;
}

test("kernel-latency.stp shows how long reads took, by program", NEEDS_LAB, () => {
  const output = inLab("dd if=/dev/zero of=/dev/null bs=64k count=20", "kernel-latency.stp");
  assert.match(output, /^dd: 20 reads, \d+ us on average\nvalue \|-+ count\n/m);
});

test("kernel-faults.stp shows page faults of an instruction, all retried", NEEDS_LAB, () => {
  const output = inLab("dd if=/dev/zero of=/dev/null bs=256k count=2", "kernel-faults.stp");
  const [, pre, post, fault, retries] =
    /^pre (\d+), post (\d+), fault (\d+), retries (\d+)$/m.exec(output)?.map(Number) ?? [];
  assert.match(output, /^#PF, error code [23], at 0x[0-9a-f]+, retryable 1$/m);
  assert.ok(pre !== undefined && post !== undefined && fault !== undefined && fault > 0, output);
  assert.equal(retries, fault);
  assert.equal(pre, post + fault);
});

test("kernel-calls.stp shows a program's system calls with their arguments", NEEDS_LAB, () => {
  const output = inLab("cat /proc/uptime", "kernel-calls.stp", "cat");
  assert.match(output, /^openat\(AT_FDCWD, "\/proc\/uptime", O_RDONLY\)$/m);
  assert.match(output, /^write\(1, "\d+\.\d+ \d+\.\d+\\n", \d+\)$/m);
  assert.match(output, /^exit_group\(0\)$/m);
});
