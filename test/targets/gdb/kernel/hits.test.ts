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
