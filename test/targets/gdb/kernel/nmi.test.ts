// NMIs, which nothing holds back: just before an instruction that executes in its place, within one, behind one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryFault } from "../../../../src/base/errors.js";
import type { Hit } from "../../../../src/probes/probe.js";
import { BEHIND_ENTRY, CODE, NEEDS_TRAPS, plant, PLANTED, trapsLab } from "./planted.js";
import { doing, ProbedKernel } from "./probed-kernel.js";

const CALLS = 60;
/** What the kernel says of NMIs that it knows no reason for is not among them. */
const COMPLAINTS = "dmesg | grep -E 'WARNING|BUG:|Oops|int3:|stall|segfault|nested'; true";
const NMIS = "awk '/NMI:/ {print $2}' /proc/interrupts";
/** What the kernel calls to say so, within the NMI. */
const IN_NMI = "vprintk_deferred";

/** One more NMI for the first processor. */
function nmi(kernel: ProbedKernel): void {
  kernel.target.client.monitor("nmi");
}

async function nmisSeen(kernel: ProbedKernel): Promise<number> {
  return Number((await kernel.run(NMIS)).output);
}

/** The sum of the calls' arguments, and the like. */
function calls(sum: number): string {
  return `calls ${String(CALLS)} any 3f all 0 sum ${sum.toString(16)}\n`;
}

for (const watch of [true, false])
  test(
    `an NMI just before an instruction that runs to a breakpoint behind it is dealt with first, its own hits are told, and the hit goes on${watch ? "" : " (without watchpoints)"}`,
    NEEDS_TRAPS,
    async (t) => {
      await using machine = await trapsLab();
      await using kernel = new ProbedKernel(machine, undefined, { watch });
      // A call gives its argument back, by way of an instruction that sets the zero flag for 0 alone.
      plant(kernel, CODE.argument, CODE.bsr, CODE.return);
      let [sent, wrong, inNmi, nested] = [0, 0, 0, 0];
      const probe = kernel.probe(PLANTED, BEHIND_ENTRY + CODE.argument.length, {
        pre: doing((hit) => {
          if (Number(hit.registers.read("rax")) % 3 !== 0) return;
          nmi(kernel);
          sent++;
        }),
        post: doing(({ registers }) => {
          const value = Number(registers.read("rax"));
          const expected = value === 0 ? undefined : BigInt(31 - Math.clz32(value));
          if (expected !== undefined && registers.read("rdx") !== expected) wrong++;
          // Interrupts are as they were, and no flag of ours is left.
          if ((registers.read("eflags") & 0x10300n) !== 0x200n) wrong++;
        }),
      });
      const told = kernel.probe(IN_NMI, BEHIND_ENTRY, {
        pre: (hit: Hit) => {
          inNmi++;
          if (hit.facts().processor !== 0) wrong++;
          // Unfenced: the handler is cancelled, and the NMI goes on.
          return { kind: "handler-fault", fault: new MemoryFault(8n, "read", "unmapped"), where: "test" };
        },
        post: doing(() => nested++),
        maxCancelled: 0,
      });
      const before = await nmisSeen(kernel);
      const { output } = await kernel.run(`traps call ${String(CALLS)}`);
      assert.equal(output, calls((CALLS * (CALLS - 1)) / 2));
      assert.equal((await nmisSeen(kernel)) - before, sent);
      t.diagnostic(
        `${String(sent)} NMIs, ${String(kernel.deferred)} instructions deferred, ${String(inNmi)} hits within NMIs`,
      );
      assert.equal(sent, CALLS / 3);
      assert.equal(kernel.deferred, sent);
      assert.deepEqual(
        [probe.hits, probe.completed, probe.faulted, probe.abandoned, probe.nmissed],
        [CALLS, CALLS, 0, 0, 0],
      );
      assert.ok(inNmi >= sent);
      assert.deepEqual([told.hits, told.completed, told.handlerFaults, nested], [inNmi, inNmi, inNmi, inNmi]);
      assert.equal(wrong, 0);
      assert.equal((await kernel.run(COMPLAINTS)).output, "");
      assert.deepEqual(kernel.failures, []);
    },
  );

for (const holdInterrupts of [true, false])
  test(
    `an NMI just before an instruction that is stepped waits where the stub holds it back, and else is dealt with first (${holdInterrupts ? "held back" : "not held back"})`,
    NEEDS_TRAPS,
    async () => {
      await using machine = await trapsLab();
      await using kernel = new ProbedKernel(machine, undefined, { holdInterrupts });
      // A call gives its flags back.
      plant(kernel, CODE.pushf, CODE.popRax, CODE.return);
      let [sent, inNmi, early] = [0, 0, 0];
      const probe = kernel.probe(PLANTED, BEHIND_ENTRY, {
        pre: doing(() => {
          if (probe.hits % 3 !== 0) return;
          early = inNmi;
          nmi(kernel);
          sent++;
        }),
        post: doing(({ registers }) => {
          if (probe.hits % 3 === 0 && inNmi > early !== !holdInterrupts)
            kernel.failures.push("NMI at its time");
          if ((registers.read("eflags") & 0x10300n) !== 0x200n) kernel.failures.push("flags");
        }),
      });
      kernel.probe(IN_NMI, BEHIND_ENTRY, { pre: doing(() => inNmi++) });
      const before = await nmisSeen(kernel);
      const { output } = await kernel.run(`traps call ${String(CALLS)}`);
      // Always the same flags, with interrupts on and none of ours.
      const [, any = "", all = ""] = /any (\w+) all (\w+)/.exec(output) ?? [];
      assert.equal(Number.parseInt(any, 16) & 0x10300, 0x200, output);
      assert.equal(Number.parseInt(all, 16) & 0x10300, 0x200, output);
      assert.equal((await nmisSeen(kernel)) - before, sent);
      assert.equal(sent, CALLS / 3);
      // What is not held back is not only NMIs.
      assert.ok(holdInterrupts ? kernel.deferred === 0 : kernel.deferred >= sent, String(kernel.deferred));
      assert.ok(inNmi >= sent);
      assert.deepEqual([probe.hits, probe.completed, probe.abandoned], [CALLS, CALLS, 0]);
      assert.equal((await kernel.run(COMPLAINTS)).output, "");
      assert.deepEqual(kernel.failures, []);
    },
  );

test(
  "a storm of NMIs over instructions that fault, that are stepped and that run to a breakpoint: the guest's output is the same, and the books are right",
  NEEDS_TRAPS,
  async (t) => {
    const workload =
      "dd if=/dev/zero bs=256k count=3 2>/dev/null | md5sum; traps call 40; for i in 1 2 3; do cat /proc/version; done | md5sum; echo $?";
    await using machine = await trapsLab();
    await using kernel = new ProbedKernel(machine);
    plant(kernel, CODE.pushf, CODE.popRax, CODE.argument, CODE.bsr, CODE.return);
    const bare = (await kernel.run(workload)).output;
    const before = await nmisSeen(kernel);
    let [sent, met] = [0, 0];
    const storm = doing(() => {
      if (++met % 4 !== 0) return;
      nmi(kernel);
      sent++;
    });
    const post = doing(() => undefined);
    const faulting = kernel.probe("clear_user_erms", 0xa, { pre: storm, post, fault: storm });
    const probes = [
      kernel.probe(PLANTED, BEHIND_ENTRY, { pre: storm, post }),
      kernel.probe(PLANTED, BEHIND_ENTRY + 6, { pre: storm, post }),
      kernel.probe(IN_NMI, BEHIND_ENTRY, { pre: doing(() => undefined), post }),
    ];
    assert.equal((await kernel.run(workload)).output, bare);
    t.diagnostic(
      `${String(sent)} NMIs, ${String(kernel.deferred)} instructions deferred, ${String(probes[2]?.hits)} hits within NMIs, ${String(faulting.hits)} hits, ${String(faulting.completed)} completed, ${String(faulting.faulted)} faults, ${String(faulting.retries)} retries`,
    );
    for (const probe of [faulting, ...probes]) kernel.core.disarm(probe);
    assert.ok(sent > 30, `${String(sent)} NMIs`);
    assert.ok(kernel.deferred > 10);
    assert.deepEqual(
      probes.slice(0, 2).map(({ hits, completed }) => [hits, completed]),
      [
        [40, 40],
        [40, 40],
      ],
    );
    assert.equal(faulting.hits, faulting.completed + faulting.faulted);
    assert.equal(faulting.retries, faulting.faulted);
    for (const each of [faulting, ...probes]) assert.deepEqual([each.abandoned, each.nmissed], [0, 0]);
    // One that comes while another is dealt with waits; a third is the second.
    const seen = (await nmisSeen(kernel)) - before;
    assert.ok(seen > sent / 2 && seen <= sent, `${String(seen)} of ${String(sent)}`);
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);

test(
  "NMIs of one processor while both execute instructions in their place: every hit is told once, and the calls give what they give",
  NEEDS_TRAPS,
  async (t) => {
    const workers = 4;
    const workload = `for i in 1 2 3 4; do traps call ${String(CALLS)} & done | sort; wait`;
    await using machine = await trapsLab({ smp: 2 });
    await using kernel = new ProbedKernel(machine);
    plant(kernel, CODE.pushf, CODE.popRax, CODE.argument, CODE.bsr, CODE.return);
    const bare = (await kernel.run(workload)).output;
    let [sent, met, within] = [0, 0, 0];
    const processors = new Set<number>();
    const storm = doing((hit) => {
      processors.add(hit.facts().processor);
      if (++met % 4 !== 0) return;
      nmi(kernel);
      sent++;
    });
    const post = doing(() => undefined);
    const probes = [0, 6].map((offset) => kernel.probe(PLANTED, BEHIND_ENTRY + offset, { pre: storm, post }));
    const told = kernel.probe(IN_NMI, BEHIND_ENTRY, {
      pre: doing((hit) => {
        within++;
        if (hit.facts().processor !== 0) kernel.failures.push("an NMI of the other processor");
      }),
    });
    assert.equal((await kernel.run(workload)).output, bare);
    t.diagnostic(
      `${String(sent)} NMIs, ${String(kernel.deferred)} instructions deferred, ${String(within)} hits within NMIs`,
    );
    const all = workers * CALLS;
    for (const { hits, completed, abandoned, nmissed } of probes)
      assert.deepEqual([hits, completed, abandoned, nmissed], [all, all, 0, 0]);
    assert.deepEqual([...processors].sort(), [0, 1]);
    assert.equal(sent, (2 * all) / 4);
    assert.ok(kernel.deferred > 10 && told.completed === within && within > sent / 2);
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);
