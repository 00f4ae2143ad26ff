import { readFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { offsetBy } from "../../../src/base/address.js";
import { LinuxTarget } from "../../../src/targets/linux/target.js";
import { CONTINUE } from "../../../src/targets/target.js";
import { INT3, mainThread } from "./support-plain.js";

/** What the test asks of the worker that owns ptrace. */
export interface Task {
  readonly argv: readonly string[];
  readonly doorbell: SharedArrayBuffer;
  /** Address of a one-byte instruction (nop) to count at; absent: none. */
  readonly at?: number;
  /** Ends after so many waits that returned nothing. */
  readonly wakes: number;
}

const task = workerData as Task;
const target = LinuxTarget.launch(task.argv, { doorbell: task.doorbell });
const main = mainThread(target);
if (task.at !== undefined) target.memory(target.spaceOf(main)).writeText(task.at as never, INT3);
target.resume(main, CONTINUE);
parentPort?.postMessage({ pid: main });
let hits = 0;
let wakes = 0;
let end: unknown;
const begin = performance.now();
while (wakes < task.wakes && end === undefined) {
  const stop = target.wait(Infinity);
  if (stop === undefined) wakes++;
  else if (stop.kind === "breakpoint") {
    hits++;
    target.registers(stop.thread).pc = offsetBy(stop.at, 1);
    target.resume(stop.thread, CONTINUE);
  } else if (stop.kind === "thread-gone") end = stop.processExit;
  else target.resume(stop.thread, stop.kind === "signal" ? { kind: "deliver" } : CONTINUE);
}
const microseconds = ((performance.now() - begin) * 1000) / hits;
await target[Symbol.asyncDispose]();
// Field 41: scheduling policy of this very thread. proc_pid_stat(5).
const policy = readFileSync("/proc/thread-self/stat", "utf8").replace(/.*\) /, "").split(" ")[41 - 3];
const processors = /Cpus_allowed:\s*(\S+)/.exec(readFileSync("/proc/thread-self/status", "utf8"))?.[1];
parentPort?.postMessage({ hits, wakes, end, microseconds, policy, processors });
