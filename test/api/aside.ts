import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { target } from "../support/programs.js";

/** A program that runs beside the test, started by a shell: not a child of Node's, so that it can be traced. */
export interface Aside {
  readonly pid: number;
  /** Asks it to end (SIGTERM), and waits for it. */
  end(): Promise<{ readonly output: string; readonly status: number | null }>;
}

export async function startAside(...command: readonly string[]): Promise<Aside> {
  const shell = spawn("sh", ["-c", '"$0" "$@" & echo $!; wait $!', ...command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(shell, "exit").then(([status]) => status as number | null);
  const lines = createInterface(shell.stdout);
  const output: string[] = [];
  const first = once(lines, "line");
  const closed = once(lines, "close");
  const pid = Number(((await first) as [string])[0]);
  lines.on("line", (line) => output.push(line));
  return {
    pid,
    async end() {
      process.kill(pid, "SIGTERM");
      const status = await ended;
      await closed;
      return { output: output.join("\n"), status };
    },
  };
}

/** Starts a program, and waits until its threads are at their work: so many, beside its first one. */
export async function startThreads(threads: number, ...command: readonly string[]): Promise<Aside> {
  const program = await startAside(...command);
  await until("all threads run", () => threadsOf(program.pid).length === threads + 1);
  return program;
}

/** Starts steady.c, and waits until it is at its work. */
export function startSteady(threads: number): Promise<Aside> {
  return startThreads(threads, target("steady"), String(threads));
}

/** Limits for tests of something else: on a busy machine nothing is missed or stopped for being late. */
export const PATIENT = { ownerLimit: 20_000, handlerLimit: 10_000 } as const;

/** What steady.c says when nothing went wrong with it. */
export const STEADY = { output: "every beat was right", status: 7 } as const;

/** A digest of all text that a process maps, as it is in its memory. */
export function textOf(pid: number): string {
  const hash = createHash("sha256");
  const memory = openSync(`/proc/${String(pid)}/mem`, "r");
  try {
    for (const line of readFileSync(`/proc/${String(pid)}/maps`, "latin1").split("\n")) {
      const [, from, to, path] = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+\s+(\/.*)$/.exec(line) ?? [];
      if (from === undefined || to === undefined || path === undefined) continue;
      const start = BigInt(`0x${from}`);
      const bytes = Buffer.alloc(Number(BigInt(`0x${to}`) - start));
      for (let done = 0; done < bytes.length;)
        done += readSync(memory, bytes, done, bytes.length - done, start + BigInt(done));
      hash.update(line).update(bytes);
    }
  } finally {
    closeSync(memory);
  }
  return hash.digest("hex");
}

/** The states of a process's threads, and who traces them. */
function threadsOf(pid: number): { readonly state: string; readonly tracer: number }[] {
  return readdirSync(`/proc/${String(pid)}/task`).map((thread) => {
    const status = readFileSync(`/proc/${String(pid)}/task/${thread}/status`, "latin1");
    return {
      state: /^State:\t(.)/m.exec(status)?.[1] ?? "",
      tracer: Number(/^TracerPid:\t(\d+)/m.exec(status)?.[1]),
    };
  });
}

/** Waits until something is so, for ten seconds at most. */
export async function until(what: string, so: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!so()) {
    if (performance.now() > end) throw new Error(`this did not come: ${what}`);
    await setTimeout(5);
  }
}

/** Whether a process runs, untraced, in all its threads. */
export function isFree(pid: number): boolean {
  return threadsOf(pid).every(({ state, tracer }) => "RSD".includes(state) && tracer === 0);
}
