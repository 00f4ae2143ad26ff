// #BP and #DB: the instruction's own doing, told as case 3's traps; and the guest's own, which are none of ours.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hit } from "../../../../src/probes/probe.js";
import { BEHIND_ENTRY, CODE, NEEDS_TRAPS, plant, PLANTED, trapsLab } from "./planted.js";
import { doing, ProbedKernel } from "./probed-kernel.js";

const CALLS = 40;
const MANY = 800;
const COMPLAINTS = "dmesg | grep -E 'WARNING|BUG:|Oops|stall|segfault'; true";

interface Told {
  readonly pre: string[];
  readonly faults: string[];
}

/** A probe that says of each fault what it is, and where the program counter then is. */
function tellingFaults(kernel: ProbedKernel, offset: number): Told & { readonly probe: Hit["probe"] } {
  const told: Told = { pre: [], faults: [] };
  const probe = kernel.probe(PLANTED, offset, {
    pre: doing((hit) => told.pre.push(String(hit.retries))),
    fault: doing(({ fault, registers, at }) => {
      const flags = registers.read("eflags") & 0x10300n;
      told.faults.push(
        `${fault?.name ?? ""} at +${String(registers.pc - at)} retryable ${String(fault?.retryable)} flags ${flags.toString(16)}`,
      );
    }),
    post: doing(() => {
      told.faults.push("post");
    }),
  });
  return { ...told, probe };
}

test(
  "a single step that the kernel makes itself, over a probed instruction, is the kernel's own exception, behind the instruction",
  NEEDS_TRAPS,
  async () => {
    const command = `traps call ${String(CALLS)}`;
    await using machine = await trapsLab();
    await using kernel = new ProbedKernel(machine);
    const { pushf, setTrap, popf, argument, bsr } = CODE;
    plant(kernel, argument, pushf, setTrap, popf, bsr, CODE.return);
    const bare = (await kernel.run(command)).output;
    // The kernel finds that strange, says so once, and ends the stepping.
    assert.equal((await kernel.run("dmesg | grep -c WARNING; dmesg -c >/dev/null")).output, "1\n");
    const flags = new Set<bigint>();
    const ofPopf = BEHIND_ENTRY + argument.length + pushf.length + setTrap.length;
    const probes = [ofPopf, ofPopf + popf.length].map((offset) =>
      kernel.probe(PLANTED, offset, {
        pre: doing(() => undefined),
        fault: doing(() => kernel.failures.push("a fault is told that is not the instruction's")),
        post: doing(({ registers, at }) => {
          if (registers.pc !== at + (offset === ofPopf ? popf : bsr).length)
            kernel.failures.push("where it is");
          flags.add(registers.read("eflags") & 0x10300n);
        }),
      }),
    );
    assert.equal((await kernel.run(command)).output, bare);
    // Behind both instructions the flag is set.
    assert.deepEqual([...flags], [0x300n]);
    for (const { hits, completed, faulted, abandoned } of probes)
      assert.deepEqual([hits, completed, faulted, abandoned], [CALLS, CALLS, 0, 0]);
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);

test(
  "[S3 fault kernel][S3c fault kernel] int 3 of the kernel's own is told as a trap, and the kernel deals with it as it does without us",
  NEEDS_TRAPS,
  async () => {
    // Where there is no int3 at the byte before the trap's return address, kprobes take it for one that has just been
    // removed, and go back there: to add eax, eax, of which that byte is the first.
    await using machine = await trapsLab();
    await using kernel = new ProbedKernel(machine);
    plant(kernel, CODE.argument, CODE.int3, CODE.rest, CODE.return);
    const bare = (await kernel.run(`traps call ${String(CALLS)}`)).output;
    const { probe, pre, faults } = tellingFaults(kernel, BEHIND_ENTRY + CODE.argument.length);
    assert.equal((await kernel.run(`traps call ${String(CALLS)}`)).output, bare);
    assert.deepEqual([...new Set(faults)], ["#BP at +2 retryable false flags 200"]);
    assert.deepEqual([...new Set(pre)], ["0"]);
    assert.deepEqual([probe.hits, probe.faulted, probe.completed, probe.retries], [CALLS, CALLS, 0, 0]);
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);

for (const holdInterrupts of [true, false])
  test(
    `a program that another steps, with the kernel's way there and back probed and stepped, goes the same way (interrupts ${holdInterrupts ? "" : "not "}held back)`,
    NEEDS_TRAPS,
    async (t) => {
      const command = "traps single-step 120";
      await using machine = await trapsLab();
      await using kernel = new ProbedKernel(machine, undefined, { holdInterrupts });
      const bare = (await kernel.run(command)).output;
      assert.match(bare, /odd 0 others 0/);
      const nothing = { pre: doing(() => undefined), post: doing(() => undefined) };
      const probes = [
        "arch_ptrace",
        "ptrace_stop",
        "__x64_sys_ptrace",
        "user_enable_single_step",
        "send_sigtrap",
      ]
        .filter((name) => kernel.image.symbol(name) !== undefined)
        .map((name) => kernel.probe(name, BEHIND_ENTRY, nothing));
      const text = new Uint8Array(32);
      kernel.target.memory().read(kernel.address("_raw_spin_lock_irqsave"), text);
      const stepped = kernel.probe("_raw_spin_lock_irqsave", text.indexOf(0x9c), {
        ...nothing,
        post: doing(() => {
          if (stepped.hits >= MANY) kernel.core.disarm(stepped);
        }),
      });
      assert.equal((await kernel.run(command)).output, bare);
      t.diagnostic(
        `${probes.map(({ definition, hits }) => `${definition.name} ${String(hits)}`).join(", ")}; stepped ${String(stepped.hits)}, deferred ${String(kernel.deferred)}`,
      );
      assert.ok(probes.length >= 4 && probes.every(({ hits }) => hits >= 100));
      assert.ok(stepped.hits >= MANY);
      assert.equal((await kernel.run(COMPLAINTS)).output, "");
      assert.deepEqual(kernel.failures, []);
    },
  );

test(
  "the guest's own breakpoints in debug registers count what they count, on the probed instruction and on what it writes",
  NEEDS_TRAPS,
  async (t) => {
    await using machine = await trapsLab();
    await using kernel = new ProbedKernel(machine);
    const written = kernel.address("panic_timeout");
    const place = BEHIND_ENTRY + CODE.argument.length;
    plant(kernel, CODE.argument, addZeroTo(written), CODE.return);
    const at = kernel.address(PLANTED, place);
    const commands = [`x ${hex(at)}`, `w ${hex(written)}`].map(
      (what) => `traps breakpoint ${what} ${String(CALLS)}`,
    );
    const counting = new RegExp(`\\ncounted ${String(CALLS)}\\n`);
    const bare: string[] = [];
    for (const command of commands) bare.push((await kernel.run(command)).output);
    for (const output of bare) assert.match(output, counting);
    // What the kernel does about #DB is probed, too: its hits are told before the instruction's hit goes on.
    let dealing = 0;
    const dealt = kernel.probe("perf_bp_event", BEHIND_ENTRY, { pre: doing(() => dealing++) });
    let wrong = 0;
    const probe = kernel.probe(PLANTED, place, {
      pre: doing(() => undefined),
      post: doing(({ registers }) => {
        if (registers.pc !== at + addZeroTo(written).length) wrong++;
        if ((registers.read("eflags") & 0x10300n) !== 0x200n) wrong++;
      }),
    });
    for (const [index, command] of commands.entries())
      assert.equal((await kernel.run(command)).output, bare[index], command);
    t.diagnostic(`${String(dealing)} times dealt with`);
    assert.deepEqual(
      [probe.hits, probe.completed, probe.faulted, probe.abandoned, wrong],
      [2 * CALLS, 2 * CALLS, 0, 0, 0],
    );
    assert.deepEqual([dealing, dealt.completed], [2 * CALLS, 2 * CALLS]);
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);

/** add dword [address], 0: it changes nothing, and is a store. */
function addZeroTo(address: number): number[] {
  const place = Buffer.alloc(4);
  place.writeInt32LE(address);
  return [0x83, 0x04, 0x25, ...place, 0];
}

function hex(address: number): string {
  return BigInt.asUintN(64, BigInt(address)).toString(16);
}
