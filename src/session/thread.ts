import { Worker, type WorkerOptions } from "node:worker_threads";
import { standardError } from "../output/standard-streams.js";

/**
 * Starts a thread of ours. By itself Node would connect it to this process's standard output and error, and
 * make both non-blocking: a program that we launch has the same ones, and its writes would fail with EAGAIN.
 * So nothing is read from its streams; what it has to say it writes to descriptors.
 */
export function startThread(url: URL, options: Pick<WorkerOptions, "workerData"> = {}): Worker {
  return new Worker(url, { ...options, stdout: true, stderr: true });
}

/** Node's warnings in this thread go to the descriptor, not through `process.stderr`: see {@link startThread}. */
export function redirectWarnings(): void {
  // With --no-warnings nobody listens.
  if (process.listenerCount("warning") === 0) return;
  const messages = standardError();
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message }) => {
    messages.writeText(`(node:${String(process.pid)}) ${name}: ${message}\n`);
    messages.flush();
  });
}
