// The tracer is killed before a certain call of its own: one after another, not at random.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";

const CLI = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
/** Calls that change a program, or decide what becomes of a stop. */
const CALLS = ["ptrace", "process_vm_writev", "pwrite64", "wait4", "waitid"];
/** One in so many is tried; `TRAPLINE_EVERY=1 npm test` tries them all. */
const EVERY = Number(process.env["TRAPLINE_EVERY"] ?? 60);
/** To try the same ones again. */
const SEED = Number(process.env["TRAPLINE_SEED"] ?? Date.now());
/** It runs for some seconds, to outlive a session under strace. */
const ROUNDS = "8000000";
const NEEDS = needs("gcc", "strace");

interface Survivor {
  readonly pid: number;
  /** What it printed, and its status as the shell says it. */
  readonly end: Promise<string>;
}

/** Through a shell: what Node itself started, Node itself waits for, and would take the tracer's stops. */
async function start(program: string): Promise<Survivor> {
  const script = '"$0" plain "$1" >"$2" 2>&1 & echo $!; wait $! 2>/dev/null; echo "status $?"; cat "$2"';
  const folder = mkdtempSync(join(tmpdir(), "trapline-calls-"));
  const shell = spawn("sh", ["-c", script, program, ROUNDS, join(folder, "out")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  shell.stdout.setEncoding("latin1").on("data", (text: string) => (said += text));
  const end = once(shell, "close").then(() => {
    rmSync(folder, { recursive: true, force: true });
    return said.replace(/^\d+\n/, "");
  });
  while (!said.includes("\n")) await setTimeout(2);
  return { pid: Number.parseInt(said), end };
}

interface Session {
  readonly child: ChildProcess;
  /** The lines of strace: one a call. */
  readonly log: string;
}

/** A session that attaches, hits each kind of place, and leaves, under strace. */
async function trace(
  program: string,
  survivor: Survivor,
  folder: string,
  words: readonly string[],
): Promise<Session> {
  const at = `process("${program}").function("*")?`;
  const script = `global n; probe ${at} { if (++n >= 12) exit() } probe post ${at} {}`;
  const log = join(folder, "log");
  const session = [process.execPath, CLI, "-w", "-x", String(survivor.pid), "-e", script];
  const child = spawn("strace", ["-f", "-qq", "-o", log, ...words, ...session], { stdio: "ignore" });
  await once(child, "exit");
  return { child, log };
}

/** How often the tracer's thread makes each of its calls, when nothing disturbs it. */
async function countCalls(program: string, folder: string): Promise<Map<string, number>> {
  const survivor = await start(program);
  const { log } = await trace(program, survivor, folder, ["-e", `trace=${CALLS.join()}`]);
  await survivor.end;
  const lines = readFileSync(log, "latin1").split("\n");
  const tracer = /^\d+/.exec(lines.find((line) => line.includes("PTRACE_SEIZE")) ?? "")?.[0];
  const counts = new Map<string, number>();
  for (const line of lines) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (thread === tracer && call !== undefined) counts.set(call, (counts.get(call) ?? 0) + 1);
  }
  return counts;
}

test("a program lives on and is right whichever call its tracer is killed before", NEEDS, async (context) => {
  const program = target("survivors");
  const folder = mkdtempSync(join(tmpdir(), "trapline-calls-"));
  try {
    const bare = await (await start(program)).end;
    const counts = await countCalls(program, folder);
    assert.ok((counts.get("ptrace") ?? 0) > 100, "it attached, hit and left");
    const harmed: string[] = [];
    let killed = 0;
    for (const [call, count] of counts) {
      for (let number = 1 + (SEED % EVERY); number <= count; number += EVERY) {
        const survivor = await start(program);
        const words = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL:when=${String(number)}`];
        const { child } = await trace(program, survivor, folder, words);
        if (child.signalCode === "SIGKILL") killed++;
        const got = await survivor.end;
        if (got !== bare) harmed.push(`before ${call} number ${String(number)} of ${String(count)}: ${got}`);
      }
    }
    context.diagnostic(`seed ${String(SEED)}, one in ${String(EVERY)}: ${String(killed)} killed`);
    assert.deepEqual(harmed, []);
    assert.ok(killed > 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
