// The kprobes-shaped interface on a program behind gdbserver and on a launched one: the same calls, the same books.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gdb, type Kprobe, launch, TargetError, type TracedTarget } from "../../../../src/index.js";
import { PATIENT } from "../../../api/aside.js";
import { needs } from "../../../support/needs.js";
import { target } from "../../../support/programs.js";

const NEEDS = needs("gcc", "gdbserver");
const folder = mkdtempSync(join(tmpdir(), "trapline-gdb-api-"));
after(() => {
  rmSync(folder, { recursive: true });
});

interface Seen {
  readonly counts: readonly unknown[];
  readonly calls: readonly string[];
  readonly output: string;
  readonly status: unknown;
}

async function seen(open: () => Promise<TracedTarget>, output: string): Promise<Seen> {
  const calls: string[] = [];
  let first: bigint | undefined;
  const kprobes: Kprobe[] = [
    {
      symbolName: "the_store",
      preHandler(_probe, regs, k) {
        const code = k.ksetjmp(() => void k.memory.string(8n));
        first ??= regs.rsp;
        calls.push(`pre ${String(code !== 0)} ${String(regs.rsp - first)}`);
      },
      postHandler: () => void calls.push("post"),
      postFaultHandler(_probe, _regs, _k, fault) {
        calls.push(`fault ${fault.name}`);
      },
    },
    {
      symbolName: "the_store",
      preHandler(_probe, _regs, k) {
        k.memory.string(16n);
      },
      faultHandler: (_probe, fault) => void calls.push(`handler fault ${String(fault.address)}`),
    },
    { symbolName: "the_divide", postFaultHandler: (_p, _r, _k, fault) => void calls.push(fault.name) },
  ];
  await using running = await open();
  const probes = [];
  for (const kprobe of kprobes) probes.push(await running.registerKprobe(kprobe));
  const status = await running.run();
  const counts = probes.map(({ hits, completed, faulted, retries, nmissed, faults }) => ({
    hits,
    completed,
    faulted,
    retries,
    nmissed,
    faults,
  }));
  return { counts, calls, output: readFileSync(output, "latin1"), status };
}

test("phases, fences, handler faults and counters", NEEDS, async () => {
  const program = target("faulty");
  const [one, other] = [join(folder, "launched"), join(folder, "served")];
  const launched = await seen(() => launch({ ...PATIENT, command: [program, `>${one}`] }), one);
  const connect = `| gdbserver --once - ${program} '>${other}' 2>/dev/null`;
  const served = await seen(() => gdb({ ...PATIENT, connect }), other);
  assert.deepEqual(served, launched);
  assert.ok(served.calls.includes("fault SIGSEGV"));
});

test("an empty stub and none at all are told as such", NEEDS, async () => {
  await assert.rejects(gdb({ connect: "127.0.0.1:1" }), (error) => {
    assert.ok(error instanceof TargetError);
    assert.match(error.message, /cannot connect to 127\.0\.0\.1:1/);
    return true;
  });
  await assert.rejects(gdb({ connect: "| gdbserver --multi - 2>/dev/null" }), (error) => {
    assert.ok(error instanceof TargetError);
    assert.match(error.message, /the stub has no program/);
    return true;
  });
});
