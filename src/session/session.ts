import type { Worker } from "node:worker_threads";
import { standardError } from "../output/standard-streams.js";
import { DOORBELL_BYTES } from "../targets/linux/doorbell-words.js";
import { Doorbell } from "../targets/linux/doorbell.js";
import { StarvationGuard } from "../targets/linux/scheduling.js";
import type { Interrupts, SessionOptions } from "./options.js";
import type { ScriptThreadData, ScriptThreadEnd } from "./script/script-thread.js";
import { redirectWarnings, startThread } from "./thread.js";

/** A thread that loads what a session needs while the command line is still being read. */
export interface PreparedSession {
  /**
   * Runs the session to its end; this thread stays free for Ctrl-C.
   *
   * @returns the exit status: 0; 1 the script or its session failed; 2 usage or target errors
   */
  run(options: SessionOptions, interrupts: Interrupts): Promise<number>;
  /** There is nothing to run after all. */
  cancel(): Promise<void>;
}

/** Starts the thread of a session: loading is most of the time until the first probe is armed. */
export function prepareSession(): PreparedSession {
  redirectWarnings();
  const doorbell = new Doorbell(new SharedArrayBuffer(DOORBELL_BYTES));
  const stop = new SharedArrayBuffer(4);
  const workerData: ScriptThreadData = { doorbell: doorbell.buffer, stop };
  const worker = startThread(new URL("./script/script-thread.js", import.meta.url), { workerData });
  return {
    run: async (options, interrupts) => {
      const guard = new StarvationGuard(doorbell.buffer);
      interrupts.onInterrupt((count) => {
        Atomics.store(new Int32Array(stop), 0, count > 1 ? 2 : 1);
        doorbell.ring();
      });
      try {
        const ended = endOf(worker);
        worker.postMessage(options);
        const end = await ended;
        if ("status" in end) return end.status;
        const messages = standardError();
        messages.writeText(end.problem.text);
        messages.close();
        return end.problem.status;
      } finally {
        guard.stop();
        doorbell.stop();
      }
    },
    cancel: async () => {
      await worker.terminate();
    },
  };
}

async function endOf(worker: Worker): Promise<ScriptThreadEnd> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => {
      reject(new Error("the session's thread ended without a word"));
    });
  });
}
