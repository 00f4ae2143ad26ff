// Two processors that run into the same breakpoints at the same time.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../../../src/base/address.js";
import { ReturnProbe } from "../../../../src/probes/return-probe.js";
import type { ThreadId } from "../../../../src/targets/target.js";
import { NEEDS_LAB, bootedLab } from "../../../support/lab.js";
import { doing, ProbedKernel } from "./probed-kernel.js";

const READS = 60;
const WORKERS = 4;
const LOAD = `for w in 1 2 3 4; do
  (i=0; while [ $i -lt ${String(READS)} ]; do read x </proc/uptime; i=$((i+1)); done; echo done) &
done; wait`;

test(
  "two processors under load: every hit of each is counted, and every return belongs to its call",
  NEEDS_LAB,
  async (t) => {
    await using machine = await bootedLab({ smp: 2 });
    await using kernel = new ProbedKernel(machine);
    const processors = new Set<number>();
    const entered = kernel.probe("uptime_proc_show", 5, {
      pre: doing((hit) => processors.add(hit.facts().processor)),
    });
    // Called some two thousand times meanwhile, from everywhere.
    const open = new Map<ThreadId, Address[]>();
    const wrong: string[] = [];
    const function_ = kernel.address("vfs_read", 5);
    const calls = kernel.core.register({
      name: "vfs_read",
      pre: doing((hit) => {
        const stack = open.get(hit.thread) ?? [];
        stack.push(hit.registers.sp);
        open.set(hit.thread, stack);
      }),
    });
    kernel.core.arm(calls, kernel.target.space, function_);
    const returned = kernel.core.register({
      name: "vfs_read.return",
      pre: doing((hit) => {
        const sp = open.get(hit.thread)?.pop();
        if (sp !== hit.registers.sp - 8)
          wrong.push(`${String(hit.thread)}: ${String(sp)} ${String(hit.registers.sp)}`);
      }),
    });
    new ReturnProbe(kernel.core, returned).arm(kernel.target.space, function_);
    const { output } = await kernel.run(LOAD);
    assert.equal(output, "done\n".repeat(WORKERS));
    assert.equal(entered.hits, READS * WORKERS);
    assert.deepEqual([...processors].sort(), [0, 1]);
    t.diagnostic(`${String(calls.hits)} calls, ${String(returned.hits)} returns`);
    assert.ok(returned.hits > READS * WORKERS);
    assert.deepEqual(wrong.slice(0, 3), []);
    // Whoever waits in a read now, or did when we came, has only a call or only a return.
    assert.ok(Math.abs(calls.hits - returned.hits) <= 8, `${String(calls.hits)} ${String(returned.hits)}`);
    assert.deepEqual(kernel.failures, []);
    const { output: complaints } = await kernel.run(
      "dmesg | grep -E 'WARNING|BUG:|Oops|int3:|stall' | head -5",
    );
    assert.equal(complaints, "");
  },
);
