import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import os from "node:os";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { LinuxTarget } from "../../../src/targets/linux/target.js";
import { Doorbell } from "../../../src/targets/linux/doorbell.js";
import { StarvationGuard, canRunBeside } from "../../../src/targets/linux/scheduling.js";
import { CONTINUE } from "../../../src/targets/target.js";
import { background, compile, kill, mainThread, symbol, testCompiled } from "./support.js";
import type { Task } from "./tracing-worker.js";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function trace(task: Task): { worker: Worker; started: Promise<{ pid: number }>; result: Promise<Result> } {
  const worker = new Worker(new URL("./tracing-worker.js", import.meta.url), { workerData: task });
  const messages: unknown[] = [];
  const next = async (): Promise<unknown> => {
    while (messages.length === 0) await once(worker, "message");
    return messages.shift();
  };
  worker.on("message", (message) => messages.push(message));
  const started = next() as Promise<{ pid: number }>;
  return { worker, started, result: started.then(next) as Promise<Result> };
}

interface Result {
  readonly hits: number;
  readonly wakes: number;
  readonly end: unknown;
  readonly microseconds: number;
  /** Of the tracer's thread, after the target was let go. */
  readonly policy: string;
  readonly processors: string;
}

testCompiled("wait comes back at its deadline, again and again, and at none in the past", async () => {
  const running = background(["/bin/sleep", "30"]);
  await using target = LinuxTarget.attach(running.pid);
  for (const ms of [0, 1, 5, 20, 50, -5]) {
    const begin = performance.now();
    assert.equal(target.wait(begin + ms), undefined);
    const took = performance.now() - begin;
    assert.ok(took >= ms - 0.1 && took < ms + 30, `${ms} ms took ${took}`);
  }
  // A deadline that was not reached does not come later.
  kill(running.pid, "SIGCHLD");
  const stop = target.wait(performance.now() + 20);
  assert.equal(stop?.kind, "signal");
  target.resume(mainThread(target), CONTINUE);
  const begin = performance.now();
  assert.equal(target.wait(begin + 60), undefined);
  assert.ok(performance.now() - begin >= 59);
  kill(running.pid);
  while (target.wait(performance.now() + 1000)?.kind !== "thread-gone") {
    for (const thread of target.threads()) if (target.isStopped(thread)) target.resume(thread, CONTINUE);
  }
  // Nothing is traced any more: deadlines hold all the same.
  const last = performance.now();
  assert.equal(target.wait(last + 20), undefined);
  assert.ok(performance.now() - last >= 19);
});

testCompiled("the bell wakes a waiting tracer in another thread, each time", async () => {
  const bell = new Doorbell();
  const { worker, started, result } = trace({ argv: ["/bin/sleep", "30"], doorbell: bell.buffer, wakes: 50 });
  const { pid } = await started;
  const ringing = setInterval(() => bell.ring(), 3);
  const { wakes, hits } = await result;
  clearInterval(ringing);
  assert.deepEqual([wakes, hits], [50, 0]);
  kill(pid);
  await worker.terminate();
});

testCompiled("children of other threads of this process are left to them", async () => {
  const bell = new Doorbell();
  const { worker, started, result } = trace({ argv: ["/bin/sleep", "30"], doorbell: bell.buffer, wakes: 1 });
  const { pid } = await started;
  const run = promisify(execFile);
  for (let i = 0; i < 20; i++) assert.equal((await run("/bin/echo", [String(i)])).stdout, `${i}\n`);
  const failing = spawn("/bin/sh", ["-c", "exit 7"]);
  assert.deepEqual(await once(failing, "exit"), [7, null]);
  bell.ring();
  await result;
  kill(pid);
  await worker.terminate();
});

const LOOP = `
#include <stdlib.h>
__attribute__((noinline)) void hit(void) { __asm__ volatile("nop"); }
int main(int c, char **v) { long n = atol(v[1]); for (long i = 0; i < n; i++) hit(); return 0; }
`;

testCompiled("a tracer that starves on a busy processor is helped, and every hit is counted", async () => {
  const program = compile("loop", LOOP);
  const bell = new Doorbell();
  const guard = new StarvationGuard(bell.buffer);
  const count = 60_000;
  const task = {
    argv: [program, String(count)],
    doorbell: bell.buffer,
    at: symbol(program, "hit"),
    wakes: 1,
  };
  const busy = Array.from({ length: os.availableParallelism() + 1 }, () =>
    background(["/bin/sh", "-c", "while :; do :; done"]),
  );
  try {
    const { worker, result } = trace(task);
    const { hits } = await result;
    assert.equal(hits, count);
    if (canRunBeside()) assert.ok(guard.helped > 0, "the guard had nothing to do");
    await worker.terminate();
  } finally {
    for (const { pid } of busy) kill(pid);
    guard.stop();
  }
});

testCompiled("the target's own scheduling is untouched, ours is put back", async () => {
  const program = compile("loop", LOOP);
  const bell = new Doorbell();
  const task = { argv: [program, "1000000"], doorbell: bell.buffer, at: symbol(program, "hit"), wakes: 1 };
  const { worker, started, result } = trace(task);
  const { pid } = await started;
  await pause(300);
  const policyOf = (path: string): string =>
    readFileSync(`${path}/stat`, "utf8").replace(/.*\) /, "").split(" ")[41 - 3] ?? "";
  const allowed = /Cpus_allowed:\s*(\S+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  assert.equal(policyOf(`/proc/${pid}`), "0");
  assert.equal(allowed, /Cpus_allowed:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  bell.ring();
  const { hits, policy, processors } = await result;
  assert.ok(hits > 0);
  assert.deepEqual([policy, processors], ["0", allowed]);
  kill(pid);
  await worker.terminate();
});
