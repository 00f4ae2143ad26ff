// Text that is not ours alone: children run in it, or the program writes it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { attach } from "../../src/index.js";
import { PATIENT, until } from "../api/aside.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

const CHANGED = /text was changed at 0x[0-9a-f]+, not by us: 1 probe given up there/;

const CHILDREN = {
  memory: "a child in the same memory (CLONE_VM)",
  vfork: "a vfork child",
  copy: "a copy",
  "untraced-memory": "a child in the same memory that asks not to be traced (CLONE_UNTRACED)",
  "untraced-copy": "a copy that asks not to be traced",
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
    assert.equal(probes[0]?.hits, 1002);
  });
}

test(
  "a process that shares the memory of the one attached to is traced as well, and said to be",
  GCC,
  async () => {
    const { pid, ended } = await startStopping([target("cloned"), "waiting"]);
    const other = childOf(pid);
    {
      await using running = await attach({ pid, write: () => undefined, ...PATIENT });
      assert.match(
        running.warnings.join(),
        new RegExp(`process ${String(other)} \\(cloned\\) shares the memory of process ${String(pid)}`),
      );
      const callers = new Set<number>();
      await running.registerKprobe({
        symbolName: "shared_text",
        preHandler: (_probe, _registers, _kit, hit) => void callers.add(hit.thread),
      });
      const going = running.run();
      process.kill(pid, "SIGCONT");
      await until("both have come by", () => callers.size === 2);
      void going;
    }
    process.kill(pid, "SIGUSR1");
    assert.equal(await ended, 0);
  },
);

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "latin1").trim());
}

test(
  "a child whose parent has unloaded the probed library meanwhile runs it whole, and is probed in it",
  GCC,
  async () => {
    const { pid, ended } = await startStopping([target("unloads"), target("plugin", "-shared", "-fPIC")]);
    await using running = await attach({ pid, write: () => undefined, ...PATIENT });
    const probe = await running.registerKprobe({ symbolName: "plugin_work", preHandler: () => undefined });
    process.kill(pid, "SIGCONT");
    await running.run();
    assert.equal(await ended, 0);
    assert.equal(probe.hits, 1000);
  },
);

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
    assert.match(running.warnings.join(), CHANGED);
    process.kill(pid, "SIGUSR1");
    await going;
  }
  assert.equal(await ended, 0);
});

test("of text that the program wrote over a probe the user is told at the program's end", GCC, async () => {
  const { pid, ended } = await startStopping([target("rewritten")]);
  await using running = await attach({ pid, write: () => undefined, ...PATIENT });
  const probe = await running.registerKprobe({ symbolName: "rewritten", preHandler: () => undefined });
  const after = await running.registerKprobe({ symbolName: "after_writing", preHandler: () => undefined });
  process.kill(pid, "SIGCONT");
  const going = running.run();
  await until("it has written", () => after.hits > 0);
  process.kill(pid, "SIGUSR1");
  await going;
  assert.equal(await ended, 0);
  assert.equal(probe.hits, 10);
  assert.match(probe.disarmedBecause ?? "", CHANGED);
  assert.equal(after.disarmedBecause, undefined);
  assert.match(running.warnings.join(), CHANGED);
});
