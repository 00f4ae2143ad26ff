// Text that is not ours alone: children run in it, or the program writes it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { attach } from "../../src/index.js";
import { PATIENT, until } from "../api/aside.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

const CHILDREN = {
  memory: "a child in the same memory (CLONE_VM)",
  vfork: "a vfork child",
  copy: "a copy",
} as const;

for (const [how, what] of Object.entries(CHILDREN)) {
  test(`${what} runs over probed text, and lives`, GCC, async () => {
    const program = target("cloned");
    const bare = run(program, how);
    assert.equal(bare.stdout, "child exited with 5\n");
    const { output, status, probes } = await traced(
      [program, how],
      [{ symbolName: "shared_text", preHandler: () => undefined }],
    );
    assert.equal(output, bare.stdout);
    assert.deepEqual(status, SUCCESS);
    assert.ok((probes[0]?.hits ?? 0) >= 2);
  });
}

test("text that the program wrote over a probe is left as it wrote it", GCC, async () => {
  const { pid, ended } = await startStopping([target("rewritten")]);
  {
    await using running = await attach({ pid, write: () => undefined, ...PATIENT });
    const probe = await running.registerKprobe({ symbolName: "rewritten", preHandler: () => undefined });
    const after = await running.registerKprobe({ symbolName: "after_writing", preHandler: () => undefined });
    process.kill(pid, "SIGCONT");
    const going = running.run();
    await until("it has written", () => after.hits > 0);
    assert.equal(probe.hits, 10);
    await probe.disarm();
    process.kill(pid, "SIGUSR1");
    await going;
  }
  assert.equal(await ended, 0);
});
