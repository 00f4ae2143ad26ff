// Hits in a live kernel, counted by us and by the guest itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NEEDS_LAB, bootedLab } from "../../../support/lab.js";
import { doing, ProbedKernel } from "./probed-kernel.js";

const READS = 300;
const LOOP = `i=0; while [ $i -lt ${String(READS)} ]; do read x </proc/uptime; i=$((i+1)); done; echo $i`;

test("every call of a function is a hit, told by the task that made it", NEEDS_LAB, async (t) => {
  await using machine = await bootedLab();
  const names = new Map<string, number>();
  await using kernel = new ProbedKernel(machine);
  const probe = kernel.probe("uptime_proc_show", 5, {
    pre: doing((hit) => {
      const { name } = hit.facts();
      names.set(name, (names.get(name) ?? 0) + 1);
    }),
  });
  const begun = performance.now();
  const { output, status } = await kernel.run(LOOP);
  t.diagnostic(`${((performance.now() - begun) / READS).toFixed(3)} ms a hit`);
  assert.equal(status, 0);
  assert.equal(output, `${String(READS)}\n`);
  assert.equal(probe.hits, READS);
  assert.equal(probe.completed, READS);
  assert.deepEqual([...names.values()], [READS]);
  assert.deepEqual(kernel.failures, []);
  t.diagnostic(JSON.stringify([...names]));
});

test(
  "where a stub cannot watch memory, breakpoints of its own on the kernel's entries do",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab();
    await using kernel = new ProbedKernel(machine, undefined, { watch: false });
    const probe = kernel.probe("uptime_proc_show", 5, { pre: doing(() => undefined) });
    const stored = kernel.probe("clear_user_erms", 0xa, { fault: doing(() => undefined) });
    const { output } = await kernel.run(
      "for i in 1 2 3; do cat /proc/uptime; done | wc -l; dd if=/dev/zero of=/dev/null bs=64k count=1 2>&1 | tail -1",
    );
    assert.equal(output, "3\n1+0 records out\n");
    assert.equal(probe.hits, 3);
    assert.ok(stored.faulted > 0);
    // Nobody can tell there that the same instruction was tried again.
    assert.equal(stored.retries, 0);
    assert.equal(stored.hits, stored.completed + stored.faulted);
    assert.equal((await kernel.run("dmesg | grep -c int3:; true")).output, "0\n");
    assert.deepEqual(kernel.failures, []);
  },
);
