// Scripts on a real kernel: variables, latencies, modules, interrupts, the kernel's own kprobes, its oops and its panic.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { readFileSync } from "node:fs";
import { KernelImage } from "../../src/symbols/kernel/image.js";
import { GdbClient } from "../../src/targets/gdb/protocol/client.js";
import type { Address } from "../../src/base/address.js";
import type { LabMachine } from "../../src/targets/lab/machine.js";
import { bootedLab, NEEDS_LAB } from "../support/lab.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { session } from "./machine.js";
import { StubProxy } from "./stub-proxy.js";

/** Milliseconds by which a stub's answers come late. */
const LATE = 15;
const SKIP = NEEDS_LAB.skip !== false ? NEEDS_LAB : needs("gcc", "libc6-dev");

async function booted(options: Parameters<typeof bootedLab>[0] = {}): Promise<LabMachine> {
  const calls = { bytes: readFileSync(target("guest_calls", "-static")), mode: 0o755 };
  return bootedLab({ ...options, files: new Map([["/bin/calls", calls]]) });
}

for (const [name, options] of [
  ["where its linker put it", {}],
  ["with KASLR, on two processors under load", { kaslr: true, smp: 2 }],
] as const) {
  describe(`scripts on a kernel ${name}`, { concurrency: false, ...SKIP }, () => {
    let machine: LabMachine;
    /** Keeps the processors busy while a command runs. */
    const load = "kaslr" in options ? "(while :; do :; done) & busy=$!; " : "";
    const calm = "kaslr" in options ? "; kill $busy" : "";

    before(async () => {
      machine = await booted(options);
    });
    after(async () => {
      await machine.end();
    });

    test("[S1 pre kernel] vfs_read: the file's name by $file, counts, results, numbers of the guest, who called", async () => {
      const { stdout, stderr, guest, status } = await session(
        machine,
        `global n
         probe kernel.function("vfs_read") {
           if (execname() != "dd") next
           try { name = kernel_string($file->f_path->dentry->d_name->name) } catch { name = "?" }
           if (name == "version" && n++ == 0) {
             printf("%s %s %d pid %d tid %d uid %d %s\\n", ppfunc(), name, $count > 0, pid() == tid(), tid() > 1, uid(), execname())
             printf("%s %s %s\\n", symname(addr()), symname(addr() + 8), symname(1))
             printf("task %s %d\\n", kernel_string(@cast(task_current(), "task_struct")->comm), @cast(task_current(), "task_struct")->pid == tid())
             print_backtrace()
           }
         }
         probe kernel.function("vfs_read").return { if (execname() == "dd" && $return > 50) { printf("gave more than 50 of %d: %d\\n", @entry($count) > 50, $return <= @entry($count)) } }`,
        `${load}dd if=/proc/version bs=4k 2>/dev/null${calm}`,
      );
      assert.equal(status, 0, stderr);
      assert.match(guest.output, /^Linux version/);
      assert.match(
        stdout,
        /^vfs_read version 1 pid 1 tid 1 uid 0 dd\nvfs_read vfs_read 0x1\ntask dd 1\n/,
        stderr,
      );
      assert.match(stdout, /vfs_read.*\n.*ksys_read.*\n(.*\n)*.*do_syscall_64/, stdout);
      assert.match(stdout, /^gave more than 50 of 1: 1$/m);
    });

    test("a histogram of sleeps is right: latencies are the machine's own time, without that in which it stood or nobody told it to run", async () => {
      await using proxy = await StubProxy.start(machine.stub, LATE);
      const through = { kernel: machine.kernel, stub: proxy.path, load: machine.load.bind(machine) };
      const { stdout, guest, stderr } = await session(
        through,
        `global t, latency, stood
         probe kernel.syscall("nanosleep") { if (execname() == "calls") t[tid()] = gettimeofday_us() }
         probe kernel.syscall("nanosleep").return { if (t[tid()]) latency <<< gettimeofday_us() - t[tid()]; delete t[tid()] }
         probe kernel.syscall("clock_nanosleep") { if (execname() == "calls") t[tid()] = gettimeofday_us() }
         probe kernel.syscall("clock_nanosleep").return { if (t[tid()]) latency <<< gettimeofday_us() - t[tid()]; delete t[tid()] }
         # What makes the machine stand, a hundred times while it sleeps.
         probe kernel.function("hrtimer_interrupt")!, kernel.function("tick_sched_timer")! { if (stood++ < 100) for (i = 0; i < 5000; i++) j += i }
         probe end { printf("%d %d %d\\n", @count(latency), @min(latency), @max(latency)); print(@hist_log(latency)) }`,
        `${load}calls sleeps 8${calm}`,
        ...["-D", "MAXACTION=1000000"],
      );
      assert.equal(guest.output, "slept 8\n");
      const [count, least = 0, most = 0] = stdout.split("\n")[0]?.split(" ").map(Number) ?? [];
      assert.equal(count, 8, `${stdout}${stderr}`);
      // Forty milliseconds of the guest's, which its processors may not have given at once. One that was taken from
      // here would have those that the stub's answers are late by, of each stop.
      assert.ok(least >= 39_900, `at least ${String(least)} us`);
      assert.ok(least < 40_000 + LATE * 1000, `one has ${String(least)} us`);
      assert.ok(most < 400_000, `at most ${String(most)} us`);
      assert.match(stdout, /value \|/);
    });
  });
}

describe("scripts on a kernel, and what it does itself", { concurrency: false, ...SKIP }, () => {
  let machine: LabMachine;

  before(async () => {
    machine = await booted();
  });
  after(async () => {
    await machine.end();
  });

  test("a handler fault in an interrupt harms nobody, and its probe is one among others", async () => {
    const { stdout, stderr, guest, status } = await session(
      machine,
      `global ticks, good
         probe kernel.function("tick_sched_timer")!, kernel.function("tick_nohz_handler")! { ticks++; if (ticks % 2) kernel_string(8); good++ }
         probe end { printf("%d %d\\n", ticks >= 10, good >= 5) }`,
      "calls sleeps 8",
    );
    assert.deepEqual([stdout, status, guest.output], ["1 1\n", 0, "slept 8\n"], stderr);
    assert.match(stderr, /handler fault/);
  });
  test("[S9 pre kernel][S9 fault kernel] entries of functions are probed behind the tracer's nop, and executed without a step", async () => {
    await using proxy = await StubProxy.start(machine.stub);
    const through = { kernel: machine.kernel, stub: proxy.path, load: machine.load.bind(machine) };
    const { stdout, stderr, status } = await session(
      through,
      `global n
       probe kernel.function("vfs_read") { n++ }
       probe kernel.function("vfs_write") { n++ }
       probe pre, fault kernel.function("ksys_read") { n++ }
       probe post kernel.function("__x64_sys_sysfs") { n++ }
       probe end { printf("%d\\n", n > 5) }`,
      "cat /proc/version >/dev/null",
    );
    assert.deepEqual([stdout, status, proxy.steps], ["1\n", 0, 0], stderr);
  });

  test("the kernel's own kprobe on the same function, and its function tracer, see what they see by themselves", async () => {
    const trace = "/sys/kernel/tracing";
    const command = [
      `cd ${trace}`,
      "echo 'p:own vfs_read count=%dx' >kprobe_events",
      "echo 'r:ownr vfs_read result=$retval' >>kprobe_events",
      "echo 1 >events/kprobes/enable",
      "dd if=/proc/version of=/dev/null 2>/dev/null",
      "echo 0 >events/kprobes/enable",
      "grep -c ' own: ' trace",
      "grep -c ' ownr: ' trace",
      "echo >trace",
      "echo >kprobe_events",
    ].join("; ");
    const { stdout, stderr, guest, status } = await session(
      machine,
      `global n, entered, returned
       probe kernel.function("vfs_read") { n++; if (execname() == "dd") entered++ }
       probe kernel.function("vfs_read").return { if (execname() == "dd") returned++ }
       probe end { printf("%d %d\\n", entered, returned) }`,
      command,
    );
    const [own = 0, ownr = 0] = guest.output.trim().split("\n").map(Number);
    assert.ok(own >= 2 && ownr >= 2, guest.output);
    const [entered = 0, returned = 0] = stdout.trim().split(" ").map(Number);
    assert.ok(entered >= 2, stdout);
    assert.equal(returned, entered);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.doesNotMatch((await machine.run("dmesg")).output, /WARNING|BUG|Oops/);
  });

  test("probes follow a module that is loaded later, and forget it when it goes", async () => {
    const { module, exercise } = MODULE;
    const withModule = await booted({ files: new Map(), modules: [module] });
    await using there = withModule;
    const { stdout, stderr, guest } = await session(
      there,
      `global hits, entered
       probe module("${module}").function("*") { hits++; if (!entered[ppfunc()]++) printf("%s %s\\n", ppfunc(), symname(addr())) }
       probe end { printf("%d\\n", hits > 0) }`,
      `${exercise}; rmmod ${module} && insmod /lib/modules/${module}.ko && ${exercise}; rmmod ${module}; echo done`,
      "-v",
    );
    assert.match(guest.output, /done\n$/, guest.output);
    assert.match(stdout, /^1$/m, `${stdout}${stderr}`);
    assert.doesNotMatch((await there.run("dmesg")).output, /WARNING|BUG|Oops/);
  });

  test("[S12 fault kernel][S3 fault kernel] an exception that is not retried is told without a phase word; the kernel's oops goes its way, and is probed itself", async () => {
    using image = KernelImage.open(machine.kernel);
    const [sysfs] = image.functions("__x64_sys_sysfs");
    assert.ok(sysfs !== undefined);
    // A bug is planted: an invalid instruction behind the function tracer's nop.
    exchange(machine, (sysfs.vaddr + 5) as Address, Uint8Array.of(0x0f, 0x0b));
    const { stdout, stderr, guest, status } = await session(
      machine,
      `global n, told, dying
       probe kernel.statement("__x64_sys_sysfs+0x5") { if (faulted()) { told++; printf("%s %d\\n", fault_name(), fault_retryable()) } else n++ }
       probe kernel.function("oops_enter")!, kernel.function("show_regs")! { dying++; kernel_string(8) }
       probe end { printf("%d %d %d\\n", n, told, dying > 0) }`,
      "calls sysfs; echo status $?",
    );
    assert.equal(stdout, "#UD 0\n1 1 1\n", stderr);
    assert.equal(status, 0);
    assert.match(guest.output, /status (139|137|132|135)/);
    assert.match((await machine.run("dmesg")).output, /invalid opcode: 0000/);
  });

  test("a damaged list of tasks is walked until it faults; the catch part and the next statement run", async () => {
    using image = KernelImage.open(machine.kernel);
    const init = image.symbol("init_task");
    assert.ok(init !== undefined);
    const next = (init + image.offsetOf("task_struct", "tasks")) as Address;
    const good = exchange(machine, next, Buffer.from("1000000000000000", "hex"));
    try {
      const { stdout, stderr, status } = await session(
        machine,
        `global n, caught, whole, behind
         probe kernel.function("vfs_read") {
           n++
           try {
             at = &@cast(task_current(), "task_struct")->tasks
             for (i = 0; i < 500; i++) at = @cast(at, "list_head")->next
             whole++
           } catch { caught++ }
           behind++
         }
         probe end { printf("%d %d %d %d\\n", n > 0, n == caught, whole, n == behind) }`,
        "cat /proc/version",
      );
      assert.deepEqual([stdout, status], ["1 1 0 1\n", 0], stderr);
    } finally {
      exchange(machine, next, good);
    }
  });

  test("the panic path is probed; the end of the machine ends the session, which says so and loses nothing", async () => {
    const dying = await booted();
    await using there = dying;
    const { stdout, stderr, status } = await session(
      there,
      `global n
       probe kernel.function("panic") { n++; printf("panic: %s\\n", kernel_string(register("rdi"))); print_backtrace() }
       probe kernel.function("vfs_read") { n++ }
       probe end { printf("the end %d\\n", n > 1) }`,
      "cat /proc/version >/dev/null; echo c >/proc/sysrq-trigger",
    );
    assert.match(stdout, /^panic: sysrq triggered crash/m, stderr);
    assert.match(stdout, /sysrq_handle_crash/);
    assert.match(stdout, /^the end 1$/m, stdout);
    assert.ok(status === 0 || status === 2, `${String(status)} ${stderr}`);
  });

  test("2,000 functions by a pattern are armed in a few seconds, and refused ones are counted by reason", async () => {
    const { stdout, stderr, guest, status } = await session(
      machine,
      `global n
       probe kernel.function("vfs_*"), kernel.function("ext4_*")?, kernel.function("__x64_sys_*"), kernel.function("tcp_*"), kernel.function("d_*"), kernel.function("do_*") { n++ }
       probe end { printf("%d\\n", n > 0) }`,
      "cat /proc/version",
      "-v",
    );
    assert.equal(status, 0, stderr);
    assert.match(guest.output, /^Linux version/);
    assert.equal(stdout, "1\n");
    const armed = [...stderr.matchAll(/armed at (\d+) places/g)].map(([, count]) => Number(count));
    assert.ok(armed.reduce((sum, count) => sum + count, 0) > 1500, stderr);
    assert.match(stderr, /kprobe-blacklist: \d+|noinstr-text: \d+|init-text: \d+/, stderr);
  });
});

/** Writes into the memory of a machine. @returns what was there */
function exchange({ stub }: LabMachine, at: Address, bytes: Uint8Array): Uint8Array {
  using client = GdbClient.connect(`unix:${stub}`);
  client.stopReason();
  const before = new Uint8Array(bytes.length);
  assert.equal(client.readMemory(at, before), bytes.length);
  client.writeMemory(at, bytes);
  client.detach(client.threads()[0]?.process);
  return before;
}

/** A module of Debian's kernel that is small, needs no other, and can be made to run from a shell. */
const MODULE = { module: "dummy", exercise: "ifconfig dummy0 up; ifconfig dummy0 down" };
