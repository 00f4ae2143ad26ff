// Instructions that only a single step executes, with interrupts held back by the stub and without.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import { NEEDS_LAB, bootedLab } from "../../../support/lab.js";
import type { Address } from "../../../../src/base/address.js";
import type { ThreadId } from "../../../../src/targets/target.js";
import { BEHIND_ENTRY, CODE, NEEDS_TRAPS, plant, PLANTED, trapsLab } from "./planted.js";
import { doing, ProbedKernel } from "./probed-kernel.js";

const PUSHF = 0x9c;
const ENOUGH = 60;
const COMPLAINTS = "dmesg | grep -E 'WARNING|BUG:|Oops|int3:|stall|segfault'; true";

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
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);

const CALLS = 2000;
const MANY = 2500;

for (const holdInterrupts of [true, false])
  test(
    `${String(CALLS)} calls whose instruction is stepped on a busy machine are ${String(CALLS)} hits, and give what they give by themselves (interrupts ${holdInterrupts ? "" : "not "}held back)`,
    NEEDS_TRAPS,
    async (t) => {
      await using machine = await trapsLab();
      await using kernel = new ProbedKernel(machine, undefined, { holdInterrupts });
      assert.equal(kernel.target.client.query("qqemu.sstep"), holdInterrupts ? "0x7" : "0x1");
      // A call gives back the flags, as the stepped instruction shows them, and its argument.
      plant(kernel, CODE.pushf, CODE.popRax, CODE.onlyFlags, CODE.addArgument, CODE.return);
      const workload = `dd if=/dev/zero of=/dev/null bs=4k count=100000000 2>/dev/null & traps call ${String(CALLS)}; kill $!`;
      const bare = (await kernel.run(workload)).output;
      let wrong = 0;
      const probe = kernel.probe(PLANTED, BEHIND_ENTRY, {
        pre: doing(() => undefined),
        post: doing(({ registers, at }) => {
          if (registers.pc !== at + 1 || (registers.read("eflags") & 0x10300n) !== 0x200n) wrong++;
        }),
      });
      const { output } = await kernel.run(workload);
      t.diagnostic(`${String(kernel.deferred)} steps that an interrupt came before`);
      assert.equal(output, bare);
      assert.match(output, /^calls 2000 /);
      assert.deepEqual(
        [probe.hits, probe.completed, probe.abandoned, probe.nmissed, wrong],
        [CALLS, CALLS, 0, 0, 0],
      );
      if (holdInterrupts) assert.equal(kernel.deferred, 0);
      else assert.ok(kernel.deferred > 5, String(kernel.deferred));
      assert.equal((await kernel.run(COMPLAINTS)).output, "");
      assert.deepEqual(kernel.failures, []);
    },
  );

test(
  "hits of interrupts that come before a stepped instruction are told at their time, and each hit goes on where it was",
  NEEDS_LAB,
  async (t) => {
    await using machine = await bootedLab();
    await using kernel = new ProbedKernel(machine, undefined, { holdInterrupts: false });
    const name = "_raw_spin_lock_irqsave";
    const text = new Uint8Array(32);
    kernel.target.memory().read(kernel.address(name), text);
    const offset = text.indexOf(PUSHF);
    // Called by tasks and by the interrupts above them: what is under way on one stack ends in the order of a stack.
    const under = new Map<ThreadId, { readonly sp: Address; readonly flags: bigint }[]>();
    let [wrong, nested] = [0, 0];
    const probe = kernel.probe(name, offset, {
      pre: doing(({ thread, registers }) => {
        const stack = under.get(thread) ?? [];
        if ([...under.values()].some(({ length }) => length > 0)) nested++;
        stack.push({ sp: registers.sp, flags: registers.read("eflags") });
        under.set(thread, stack);
      }),
      post: doing(({ thread, registers, memory }) => {
        const { sp, flags } = under.get(thread)?.pop() ?? { sp: 0, flags: 0n };
        const pushed = new Uint8Array(8);
        memory.read(registers.sp, pushed);
        const value = new DataView(pushed.buffer).getBigUint64(0, true);
        if (value !== (flags & ~0x10100n) || registers.sp !== sp - 8) wrong++;
        if (probe.hits >= MANY) kernel.core.disarm(probe);
      }),
    });
    const { output } = await kernel.run(
      "for i in 1 2 3; do cat /proc/uptime & done | wc -l; dd if=/dev/zero bs=64k count=3 2>/dev/null | md5sum; wait; echo done",
    );
    assert.match(output, /^3\n[0-9a-f]{32} {2}-\ndone\n$/);
    t.diagnostic(
      `${String(probe.hits)} hits, ${String(kernel.deferred)} of them deferred, ${String(nested)} within another`,
    );
    assert.ok(kernel.deferred > 5 && nested > 0, `${String(kernel.deferred)} ${String(nested)}`);
    // Those which an interrupt was before when the probe went have executed their instruction unseen.
    const open = [...under.values()].reduce((sum, { length }) => sum + length, 0);
    assert.ok(probe.hits >= MANY);
    assert.deepEqual([probe.hits - probe.completed - open, probe.nmissed, wrong], [0, 0, 0]);
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);
