// What the guest may do, and what it must not notice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, offsetBy } from "../../../../src/base/address.js";
import { MemoryFault } from "../../../../src/base/errors.js";
import { IDT } from "../../../../src/targets/gdb/kernel/slide.js";
import { GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import type { ThreadId } from "../../../../src/targets/target.js";
import type { LabMachine } from "../../../../src/targets/lab/machine.js";
import { NEEDS_LAB, bootedLab } from "../../../support/lab.js";
import { doing, imageOf, ProbedKernel } from "./probed-kernel.js";

const COMPLAINTS = "dmesg | grep -E 'WARNING|BUG:|Oops|int3:|stall|segfault'; true";

/** What is in the kernel's text and in its table of descriptors, read by a client that knows nothing of probes. */
function image(machine: LabMachine): Map<string, string> {
  const client = GdbClient.connect(`unix:${machine.stub}`);
  try {
    const kernel = imageOf(machine);
    const read = (at: number, length: number): string => {
      const bytes = new Uint8Array(length);
      assert.equal(client.readMemory(at as Address, bytes), length);
      return Buffer.from(bytes).toString("hex");
    };
    const symbol = (name: string): number => kernel.symbol(name) ?? assert.fail(name);
    const found = new Map([
      ["vfs_read", read(symbol("vfs_read"), 64)],
      ["clear_user_erms", read(symbol("clear_user_erms"), 64)],
      [
        "entry text",
        read(symbol("__entry_text_start"), symbol("__entry_text_end") - symbol("__entry_text_start")),
      ],
      ["text", read(symbol("_stext"), 400_000)],
      ["descriptors", read(IDT, 512)],
    ]);
    client.detach(1);
    return found;
  } finally {
    client[Symbol.dispose]();
  }
}

test("a kernel moved by KASLR is found, and its functions are hit", NEEDS_LAB, async (t) => {
  await using machine = await bootedLab({ kaslr: true });
  await using kernel = new ProbedKernel(machine);
  t.diagnostic(`slide ${kernel.target.slide.toString(16)}`);
  assert.notEqual(kernel.target.slide, 0);
  const probe = kernel.probe("uptime_proc_show", 5, { pre: doing(() => undefined) });
  assert.equal((await kernel.run("cat /proc/uptime /proc/uptime | wc -l")).output, "2\n");
  assert.equal(probe.hits, 2);
  assert.deepEqual(kernel.failures, []);
});

test("leaving puts every byte back, and the machine runs on", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  const before = image(machine);
  let during: Map<string, string>;
  {
    await using kernel = new ProbedKernel(machine);
    kernel.probe("vfs_read", 5, { pre: doing(() => undefined) });
    kernel.probe("clear_user_erms", 0xa, { post: doing(() => undefined) });
    const { output } = await kernel.run("dd if=/dev/zero of=/dev/null bs=64k count=1 2>/dev/null; echo $?");
    assert.equal(output, "0\n");
    const bytes = new Uint8Array(64);
    kernel.target.memory().read(kernel.address("vfs_read"), bytes);
    during = new Map([["vfs_read", Buffer.from(bytes).toString("hex")]]);
  }
  assert.notEqual(during.get("vfs_read"), before.get("vfs_read"));
  assert.equal((await machine.run("cat /proc/uptime | wc -l")).output, "1\n");
  const after = image(machine);
  for (const [what, bytes] of before) assert.ok(after.get(what) === bytes, `${what} is as it was`);
  assert.equal((await machine.run(COMPLAINTS)).output, "");
});

test(
  "the guest's own kprobes, on the same function and at an int3 of their own, are not disturbed",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab();
    await using kernel = new ProbedKernel(machine);
    const probe = kernel.probe("uptime_proc_show", 5, { pre: doing(() => undefined) });
    const { output } = await kernel.run(
      [
        "mkdir -p /t && mount -t tracefs t /t",
        // At the function's entry (ftrace), and in the middle of it (int3).
        "echo 'p:one uptime_proc_show' >/t/kprobe_events && echo 'p:two uptime_proc_show+8' >>/t/kprobe_events",
        "echo 1 >/t/events/kprobes/enable && echo 1 >/t/tracing_on",
        "for i in 1 2 3 4 5; do cat /proc/uptime >/dev/null; done",
        "echo 0 >/t/events/kprobes/enable",
        "grep -c one: /t/trace; grep -c two: /t/trace",
        "echo >/t/kprobe_events; cat /proc/uptime | wc -l",
      ].join("; "),
    );
    assert.equal(output, "5\n5\n1\n");
    assert.equal(probe.hits, 6);
    assert.equal((await kernel.run(COMPLAINTS)).output, "");
    assert.deepEqual(kernel.failures, []);
  },
);

test("a program's own int3 is the program's", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  await using kernel = new ProbedKernel(machine);
  const probe = kernel.probe("uptime_proc_show", 5, { pre: doing(() => undefined) });
  // An ELF file of one instruction.
  const header = Buffer.alloc(0x79);
  header.write("\x7fELF\x02\x01\x01", 0, "latin1");
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(62, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(0x40_0078n, 24);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  header.writeUInt32LE(1, 64);
  header.writeUInt32LE(5, 68);
  header.writeBigUInt64LE(0x40_0000n, 80);
  header.writeBigUInt64LE(0x79n, 96);
  header.writeBigUInt64LE(0x79n, 104);
  header[0x78] = 0xcc;
  const { output } = await kernel.run(
    `echo ${header.toString("base64")} | base64 -d >/p; chmod +x /p; /p; echo $?; cat /proc/uptime | wc -l`,
  );
  // 128 + SIGTRAP.
  assert.match(output, /133\n/);
  assert.match(output, /\n1\n$/);
  assert.equal(probe.hits, 1);
});

test(
  "handlers run in interrupts: the facts are of what was interrupted, and time goes on",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab();
    await using kernel = new ProbedKernel(machine);
    const threads = new Set<number>();
    const probe = kernel.probe("tick_do_update_jiffies64", 5, {
      pre: doing((hit) => {
        threads.add(hit.thread);
        hit.facts().name.length.toString();
      }),
    });
    assert.equal(
      (await kernel.run("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i")).output,
      "20000\n",
    );
    assert.ok(probe.hits > 5, `hits: ${String(probe.hits)}`);
    // A processor's interrupts are a thread of their own.
    assert.ok(threads.has(1), JSON.stringify([...threads]));
    assert.deepEqual(kernel.failures, []);
  },
);

test(
  "memory: a user's through its page tables, a fault at the first bad byte, no store where the kernel's own would fault",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab();
    await using kernel = new ProbedKernel(machine);
    const memory = kernel.target.memory();
    const seen: string[] = [];
    const fault = (body: () => void): string => {
      try {
        body();
      } catch (error) {
        if (error instanceof MemoryFault)
          return `${error.access} ${error.reason} ${(error.address & 0xfffn).toString(16)}`;
        throw error;
      }
      return "none";
    };
    kernel.probe("ksys_write", 5, {
      pre: doing((hit) => {
        const length = Number(hit.registers.read("rdx"));
        const bytes = new Uint8Array(Math.min(length, 32));
        memory.read(Number(hit.registers.read("rsi")) as Address, bytes);
        const text = Buffer.from(bytes).toString();
        if (!text.startsWith("a secret")) return;
        seen.push(text);
        seen.push(
          fault(() => {
            memory.read(0x10 as Address, bytes);
          }),
        );
        // The page behind the kernel's read-only data is there, and the kernel may not write to it.
        seen.push(
          fault(() => {
            memory.write(kernel.address("linux_banner"), Uint8Array.of(0));
          }),
        );
        seen.push(
          fault(() => {
            memory.write(0x10 as Address, Uint8Array.of(0));
          }),
        );
        const stack = hit.registers.sp;
        const word = new Uint8Array(8);
        memory.read(offsetBy(stack, -256), word);
        seen.push(
          fault(() => {
            memory.write(offsetBy(stack, -256), word);
          }),
        );
      }),
    });
    assert.equal((await kernel.run("echo a secret of the user")).output, "a secret of the user\n");
    // The shell that runs the command passes it on.
    assert.deepEqual(seen.slice(0, 5), [
      "a secret of the user\n",
      "read unmapped 10",
      `write no-access ${(kernel.address("linux_banner") & 0xfff).toString(16)}`,
      "write unmapped 10",
      "none",
    ]);
  },
);

test("a damaged current task and a stack pointer of nowhere give harmless answers", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  await using kernel = new ProbedKernel(machine);
  const told: string[] = [];
  kernel.probe("uptime_proc_show", 5, {
    pre: doing(() => {
      const vcpu = kernel.target.machine.vcpus[0];
      assert.ok(vcpu !== undefined);
      const base = vcpu.actual.read("gs_base");
      for (const bad of [0n, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_f000n, 0x1000n]) {
        vcpu.actual.write("gs_base", bad);
        const facts = kernel.target.facts(1 as ThreadId);
        told.push(
          `${facts.name}|${String(facts.process)}|${String(facts.user)}|${String(facts.parentProcess)}`,
        );
      }
      vcpu.actual.write("gs_base", base);
    }),
  });
  assert.equal((await kernel.run("cat /proc/uptime | wc -l")).output, "1\n");
  assert.deepEqual(told, ["|0|0|0", "|0|0|0", "|0|0|0", "|0|0|0"]);
});

test("probes on the way of a panic are hit until the machine ends", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  await using kernel = new ProbedKernel(machine);
  const way: string[] = [];
  for (const name of ["sysrq_handle_crash", "panic", "emergency_restart"])
    kernel.probe(name, 5, { pre: doing(() => way.push(name)) });
  await assert.rejects(kernel.run("echo c >/proc/sysrq-trigger"), /panic/);
  assert.deepEqual(way.slice(0, 2), ["sysrq_handle_crash", "panic"]);
  assert.deepEqual(kernel.failures, []);
});
