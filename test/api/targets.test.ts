// Targets of one Node process: several at once, its own children, programs that execute others, and
// what is refused.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { attach, launch, TargetError } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";
import { PATIENT, isFree, startSteady, STEADY, textOf } from "./aside.js";

const GCC = needs("gcc");

test(
  "attach and detach: every byte of the text is as it was, all threads run on, untraced",
  GCC,
  async () => {
    const program = await startSteady(4);
    const text = textOf(program.pid);
    for (let round = 0; round < 3; round++) {
      await using running = await attach({ pid: program.pid });
      await using pre = await running.registerKprobe({ symbolName: "the_beat", preHandler: () => undefined });
      await using post = await running.registerKprobe({ symbolName: "rest", postHandler: () => undefined });
      // Disposed with threads inside of hits.
      while (pre.hits < 20 || post.hits < 20) await pre.arm();
      assert.notEqual(textOf(program.pid), text);
      await running[Symbol.asyncDispose]();
      assert.equal(textOf(program.pid), text);
      assert.ok(isFree(program.pid));
    }
    assert.deepEqual(await program.end(), STEADY);
  },
);

test("two running programs and a launched one are traced at once, and end apart", GCC, async () => {
  const [one, other] = await Promise.all([startSteady(2), startSteady(3)]);
  const texts = [textOf(one.pid), textOf(other.pid)];
  {
    await using first = await attach({ pid: one.pid });
    await using second = await attach({ pid: other.pid });
    const threads = new Map<number, Set<number>>();
    const probes = [];
    for (const running of [first, second]) {
      const seen = new Set<number>();
      threads.set(running.pid, seen);
      probes.push(
        await running.registerKprobe({
          symbolName: "the_beat",
          preHandler: (_p, _r, _k, hit) => void seen.add(hit.thread),
        }),
      );
    }
    const program = target("faulty");
    const third = await traced(
      [program],
      [{ symbolName: "the_store", postHandler: () => undefined }],
      PATIENT,
    );
    assert.equal(third.output, run(program).stdout);
    assert.deepEqual([third.probes[0]?.hits, third.probes[0]?.faulted], [10, 5]);
    while (probes.some((probe) => probe.hits < 100)) await probes[0]?.arm();
    await first[Symbol.asyncDispose]();
    assert.equal(textOf(one.pid), texts[0]);
    const before = probes[1]?.hits ?? 0;
    while ((probes[1]?.hits ?? 0) < before + 50) await probes[1]?.arm();
    assert.deepEqual([threads.get(one.pid)?.size, threads.get(other.pid)?.size], [2, 3]);
  }
  assert.deepEqual([textOf(one.pid), textOf(other.pid)], texts);
  assert.deepEqual([await one.end(), await other.end()], [STEADY, STEADY]);
});

test("a child of Node's child_process is refused, and goes on", async () => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const ended = once(child, "exit");
  await once(child, "spawn");
  await assert.rejects(attach({ pid: child.pid ?? 0 }), (error) => {
    assert.ok(error instanceof TargetError);
    assert.match(error.message, /^process \d+ is a child of this very process, [^\n]+$/);
    assert.equal(error.remedy, "start it with launch(), or attach from another process");
    return true;
  });
  child.kill();
  assert.deepEqual(await ended, [null, "SIGTERM"]);
});

test("a program that launch started, and was let go, can be attached to again", GCC, async () => {
  const launched = await launch({ ...PATIENT, command: [target("steady"), "2", ">/dev/null"] });
  await launched.go();
  await launched[Symbol.asyncDispose]();
  {
    await using again = await attach({ pid: launched.pid });
    await using probe = await again.registerKprobe({ symbolName: "the_beat", preHandler: () => undefined });
    while (probe.hits < 20) await probe.arm();
    process.kill(launched.pid, "SIGTERM");
    assert.deepEqual(await again.run(), { kind: "exited", status: STEADY.status });
  }
});

test("what cannot be traced is refused in one sentence each", GCC, async () => {
  const program = await startSteady(1);
  const refused = async (pid: number, sentence: RegExp): Promise<void> => {
    await assert.rejects(attach({ pid }), (error) => {
      assert.ok(error instanceof TargetError, String(error));
      assert.match(error.message, sentence);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  };
  await refused(process.pid, /is Trapline itself: it cannot trace itself$/);
  await refused(-1, /^-1 is not a process ID$/);
  const { pid } = spawnSync("true");
  await refused(pid, new RegExp(`^no such process: ${String(pid)}$`));
  {
    await using running = await attach({ pid: program.pid });
    await refused(running.pid, /^process \d+ is already traced by process \d+ \(\S+\)$/);
  }
  await assert.rejects(launch({ ...PATIENT, command: ["/nowhere/to/be/found"] }), TargetError);
  await assert.rejects(launch({ ...PATIENT, command: [] }), TargetError);
  assert.deepEqual(await program.end(), STEADY);
});

test("a probe on a symbol follows the target through exec, wherever the new image has it", GCC, async () => {
  const program = target("again");
  const { output, status, probes } = await traced(
    [program, "4"],
    [
      { symbolName: "the_step", preHandler: () => undefined },
      { symbolName: "step", module: "again", postHandler: () => undefined },
    ],
    PATIENT,
  );
  assert.equal(output, "sum 6\n");
  assert.deepEqual(status, SUCCESS);
  assert.deepEqual(
    probes.map((probe) => [probe.hits, probe.completed, probe.disarmedBecause]),
    [
      [15, 15, undefined],
      [15, 15, undefined],
    ],
  );
});

test(
  "a probe that was disarmed stays so through exec; one that the new program does not have says so",
  GCC,
  async () => {
    await using running = await launch({ ...PATIENT, command: [target("again"), "1", "/bin/true"] });
    let address = 0n;
    const symbol = await running.registerKprobe({
      symbolName: "the_step",
      preHandler(_p, regs) {
        address = regs.rip;
        disarmed ??= other.disarm();
      },
    });
    let disarmed: Promise<void> | undefined;
    const other = await running.registerKprobe({ symbolName: "step", preHandler: () => undefined });
    assert.deepEqual(await running.run(), SUCCESS);
    await disarmed;
    assert.ok(address > 0n);
    assert.deepEqual([symbol.hits, other.hits], [6, 1]);
    assert.equal(symbol.disarmedBecause, "no function the_step in the program and its libraries");
    assert.equal(other.disarmedBecause, undefined);
  },
);

test("a probe on an address ends with the program that it was in", GCC, async () => {
  await using running = await launch({ ...PATIENT, command: [target("again"), "2", ">/dev/null"] });
  let address: number | undefined;
  const finder = await running.registerKprobe({
    symbolName: "the_step",
    preHandler(_p, _r, _k, hit) {
      if (address === undefined)
        registered = running.registerKprobe({ address: hit.at, preHandler: () => undefined });
      address ??= hit.at;
    },
  });
  let registered: ReturnType<typeof running.registerKprobe> | undefined;
  assert.deepEqual(await running.run(), SUCCESS);
  const byAddress = await registered;
  assert.equal(finder.hits, 9);
  assert.equal(byAddress?.hits, 2, "the two steps that the first image still took");
  assert.equal(byAddress.disarmedBecause, "its address was in a program that is no longer executed");
});

test("a probe in a library is there again in the next program's", async () => {
  await using running = await launch({
    ...PATIENT,
    command: ["sh", "-c", "exec perl -e 'getppid() for 1..500'"],
  });
  const probe = await running.registerKprobe({ symbolName: "getppid", module: "libc.so.6" });
  assert.deepEqual(await running.run(), SUCCESS);
  assert.ok(probe.hits >= 500, String(probe.hits));
});

test("memory is read through a thread that lives; the descriptors for it do not grow with the processes", async () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const before = descriptors();
  await using running = await launch({
    ...PATIENT,
    command: ["perl", "-e", "for (1..60) { if (!fork) { getppid(); exit } wait }"],
  });
  const pids = new Set<number>();
  let most = 0;
  const probe = await running.registerKprobe({
    symbolName: "getppid",
    preHandler(_p, regs, k, hit) {
      k.memory.uint64(regs.rsp);
      pids.add(hit.thread);
      most = Math.max(most, descriptors());
    },
  });
  assert.deepEqual(await running.run(), SUCCESS);
  assert.deepEqual(probe.errors, []);
  assert.ok(pids.size >= 60);
  assert.ok(most < before + 60, `${String(most)} descriptors, before ${String(before)}`);
});
