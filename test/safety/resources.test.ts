// What tracing takes of the tracer and of its target is bounded, and given back: thousands of probes, threads,
// processes and hits. The figures are printed.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { attach, type Kprobe, type RegisteredProbe, type TracedTarget } from "../../src/index.js";
import { MAXIMUM_PROBES } from "../../src/session/api/protocol.js";
import { PATIENT, textOf, until } from "../api/aside.js";
import { describeHoldings, type Holdings, holdingsOf } from "../support/holdings.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";

const CLI = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const GCC = needs("gcc");

/** What both had, one time after the other. */
class Figures {
  readonly target: Holdings[] = [];
  readonly tracer: Holdings[] = [];
  private readonly laps: string[] = [];
  private last = performance.now();

  constructor(private readonly tracing: number = process.pid) {}

  /** @param what had been done since the last time */
  take(what: string, pid: number): void {
    this.target.push(holdingsOf(pid));
    this.tracer.push(holdingsOf(this.tracing));
    const now = performance.now();
    this.laps.push(`${what} ${((now - this.last) / 1000).toFixed(1)} s`);
    this.last = now;
  }

  tell(t: TestContext): void {
    t.diagnostic(this.laps.join(", "));
    t.diagnostic(`target: ${describeHoldings(...this.target)}`);
    t.diagnostic(`tracer: ${describeHoldings(...this.tracer)}`);
  }

  /** Asserts that there was at most so much more at a time than at the first. */
  bounded(whose: "target" | "tracer", time: number, most: Holdings): void {
    const [first] = this[whose];
    const then = this[whose].at(time);
    assert.ok(first !== undefined && then !== undefined);
    for (const what of ["maps", "descriptors", "threads", "memory"] as const)
      assert.ok(
        then[what] - first[what] <= most[what],
        `${whose}: from ${String(first[what])} to ${String(then[what])} (${what})`,
      );
  }
}

/** A probe that tells when the program is at a certain point. */
async function moment(running: TracedTarget, symbolName: string, act: () => void): Promise<void> {
  await running.registerKprobe({
    symbolName,
    preHandler() {
      act();
    },
  });
}

/** What Node and the C library keep of what they once took, and a session that has just ended. */
const AFTERWARDS: Holdings = { maps: 1500, descriptors: 16, threads: 4, memory: 256 * 1024 };

const isTraced = (pid: number): boolean =>
  !/^TracerPid:\t0/m.test(readFileSync(`/proc/${String(pid)}/status`, "latin1"));
/** A program that is let go stops itself once more. */
async function goOn(pid: number): Promise<void> {
  await untilSlow("it has stopped itself", () => isStopped(pid));
  process.kill(pid, "SIGCONT");
}

const isStopped = (pid: number): boolean =>
  /^State:\tT/m.test(readFileSync(`/proc/${String(pid)}/status`, "latin1"));

const NOTHING: Pick<Kprobe, "preHandler"> = { preHandler: () => undefined };

test(
  `${MAXIMUM_PROBES.toLocaleString("en")} probes at once are armed, hit and taken out, and nothing is left of them`,
  GCC,
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "trapline-many-"));
    try {
      const { pid, ended } = await startStopping([manyFunctions(folder), "1"]);
      const text = textOf(pid);
      const figures = new Figures();
      figures.take("start", pid);
      {
        await using running = await attach({ pid, ...PATIENT });
        const probes: RegisteredProbe[] = [];
        for (let index = 1; index < MAXIMUM_PROBES; index++)
          probes.push(await running.registerKprobe({ symbolName: `f${String(index)}`, ...NOTHING }));
        let over = false;
        await moment(running, "between", () => (over = true));
        await assert.rejects(
          running.registerKprobe({ symbolName: "f0", ...NOTHING }),
          /more than 20000 probes/,
        );
        figures.take("armed", pid);
        process.kill(pid, "SIGCONT");
        await untilSlow("all were hit", () => over);
        figures.take("hit", pid);
        assert.deepEqual(
          [...new Set(probes.map(({ hits, completed }) => `${String(hits)} ${String(completed)}`))],
          ["1 1"],
        );
        for (const probe of probes) await probe.unregister();
        figures.take("taken out", pid);
      }
      figures.take("let go", pid);
      figures.tell(t);
      figures.bounded("target", 2, { maps: 32, descriptors: 0, threads: 0, memory: 16 * 1024 });
      figures.bounded("tracer", 2, { maps: 1500, descriptors: 32, threads: 4, memory: 256 * 1024 });
      figures.bounded("target", -1, { maps: 32, descriptors: 0, threads: 0, memory: 8 * 1024 });
      figures.bounded("tracer", -1, AFTERWARDS);
      assert.equal(isTraced(pid), false);
      assert.equal(textOf(pid), text);
      await goOn(pid);
      assert.equal(await ended, 7);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

const HITS = 400_000;
const QUARTERS = 4;

test(
  `${HITS.toLocaleString("en")} hits take no more memory than the first quarter of them`,
  GCC,
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "trapline-many-"));
    try {
      const program = manyFunctions(folder);
      const script = `global n probe process.function("f?") { n++ } probe end { println("hits ", n) }`;
      const command = `${program} ${String(HITS / QUARTERS / 10)} paced`;
      const tracer = spawn(process.execPath, [CLI, "-e", script, "-c", command], {
        stdio: ["pipe", "pipe", "pipe"],
      });
      const ended = once(tracer, "close");
      let errors = "";
      tracer.stderr.on("data", (data: Buffer) => (errors += data.toString()));
      const figures = new Figures(tracer.pid ?? 0);
      const said: string[] = [];
      for await (const line of createInterface(tracer.stdout)) {
        said.push(line);
        if (!/^\d+$/.test(line)) continue;
        figures.take("quarter", Number(line));
        tracer.stdin.write("\n");
      }
      await ended;
      figures.tell(t);
      assert.match(errors, /exited with status 7/);
      assert.equal(said.at(-1), `hits ${String(HITS + 10)}`);
      assert.equal(figures.target.length, QUARTERS);
      figures.bounded("target", -1, { maps: 0, descriptors: 0, threads: 0, memory: 64 });
      figures.bounded("tracer", -1, { maps: 200, descriptors: 0, threads: 2, memory: 32 * 1024 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

/** Each passes so often. crowd.c has these numbers, too. */
const PASSES = 5;
const CROWDS = [
  { mode: "threads", what: "2,000 threads at once, and 500 that come and go,", passing: 2500, children: 0 },
  { mode: "children", what: "500 children at once", passing: 500, children: 500 },
] as const;

for (const { mode, what, passing, children } of CROWDS)
  test(`${what} go through a probe, each counted, and are let go`, GCC, async (t) => {
    const { pid, ended } = await startStopping([target("crowd"), mode]);
    const figures = new Figures();
    const seen: number[] = [];
    figures.take("start", pid);
    {
      await using running = await attach({ pid, ...PATIENT });
      const probe = await running.registerKprobe({ symbolName: "the_pass", ...NOTHING });
      let over = false;
      await moment(running, "assembled", () => {
        figures.take("assembled", pid);
        seen.push(...childrenOf(pid));
      });
      await moment(running, "dispersed", () => {
        figures.take("dispersed", pid);
        over = true;
      });
      process.kill(pid, "SIGCONT");
      await untilSlow("all were hit", () => over);
      const { hits, completed, nmissed } = probe;
      assert.deepEqual([hits, completed, nmissed], [passing * PASSES, passing * PASSES, 0]);
    }
    figures.take("let go", pid);
    figures.tell(t);
    // Two descriptors a process, while it lives.
    figures.bounded("tracer", 1, { ...AFTERWARDS, descriptors: 2 * children + 32 });
    figures.bounded("tracer", -1, AFTERWARDS);
    assert.equal(seen.length, children);
    assert.equal(isTraced(pid), false);
    await goOn(pid);
    assert.equal(await ended, 7);
  });

/** As {@link until}, for what takes a while on a busy machine. */
async function untilSlow(what: string, so: () => boolean): Promise<void> {
  for (let tries = 0; tries < 8 && !so(); tries++) await until(what, so).catch(() => undefined);
  assert.ok(so(), `this did not come: ${what}`);
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "latin1")
    .split(" ")
    .map(Number)
    .filter((child) => child > 0);
}

/** Of each function the first instruction cannot be emulated: it needs a slot. */
function manyFunctions(folder: string): string {
  const names = Array.from({ length: 20_000 }, (_, index) => `f${String(index)}`);
  const functions = names.map(
    (name) =>
      `${name}: lea 1(%rax), %rax\n  ret\n  .globl ${name}\n  .type ${name}, @function\n  .size ${name}, . - ${name}\n`,
  );
  const source = join(folder, "functions.s");
  const calls = names.map((name) => `  call ${name}\n`);
  const caller = (name: string, some: readonly string[]): string =>
    `  .globl ${name}\n  .type ${name}, @function\n${name}: xor %eax, %eax\n${some.join("")}  ret\n  .size ${name}, . - ${name}\n`;
  const ending = '  .section .note.GNU-stack, "", @progbits\n';
  writeFileSync(
    source,
    `  .text\n${functions.join("")}${caller("all", calls)}${caller("ten", calls.slice(0, 10))}${ending}`,
  );
  const program = join(folder, "many-functions");
  const main = fileURLToPath(new URL("../../../test/targets/many-functions.c", import.meta.url));
  execFileSync("gcc", ["-O1", "-o", program, source, main]);
  return program;
}
