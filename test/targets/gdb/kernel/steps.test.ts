// Instructions that only a single step executes, with interrupts held back by the stub and without.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import { NEEDS_LAB, bootedLab } from "../../../support/lab.js";
import { doing, ProbedKernel } from "./probed-kernel.js";

const PUSHF = 0x9c;
const ENOUGH = 60;

test(
  "an instruction that shows the interrupt flag is stepped, with interrupts held back whatever was set",
  NEEDS_LAB,
  async (t) => {
    await using machine = await bootedLab();
    {
      using before = GdbClient.connect(`unix:${machine.stub}`);
      assert.ok(before.set("Qqemu.sstep=0x1"));
      before.detach(1);
    }
    await using kernel = new ProbedKernel(machine);
    assert.equal(kernel.target.client.query("qqemu.sstep"), "0x7");
    const name = "_raw_spin_lock_irqsave";
    const text = new Uint8Array(32);
    kernel.target.memory().read(kernel.address(name), text);
    const offset = text.indexOf(PUSHF);
    let wrong = 0;
    const before: { flags: bigint; sp: number }[] = [];
    const probe = kernel.probe(name, offset, {
      pre: doing((hit) => {
        before.push({ flags: hit.registers.read("eflags"), sp: hit.registers.sp });
      }),
      post: doing((hit) => {
        const { flags, sp } = before.pop() ?? { flags: 0n, sp: 0 };
        const pushed = new Uint8Array(8);
        hit.memory.read(hit.registers.sp, pushed);
        const value = new DataView(pushed.buffer).getBigUint64(0, true);
        // Neither the trap flag nor the resume flag of a step shows.
        if (value !== (flags & ~0x10100n) || hit.registers.sp !== sp - 8) wrong++;
        if (probe.hits >= ENOUGH) kernel.core.disarm(probe);
      }),
    });
    assert.equal((await kernel.run("for i in 1 2 3; do cat /proc/uptime; done | wc -l")).output, "3\n");
    t.diagnostic(`hits ${String(probe.hits)}, completed ${String(probe.completed)}`);
    assert.ok(probe.hits >= ENOUGH);
    assert.equal(probe.hits, probe.completed);
    assert.equal(wrong, 0);
    assert.equal((await kernel.run("dmesg | grep -E 'WARNING|BUG:|Oops|int3:'; true")).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);
