import { standardError } from "../output/standard-streams.js";
import { DOORBELL_BYTES } from "../targets/linux/doorbell-words.js";
import { Doorbell } from "../targets/linux/doorbell.js";
import { StarvationGuard } from "../targets/linux/scheduling.js";
import type { Interrupts, SessionOptions } from "./options.js";
import type { LabControl } from "./lab-session.js";
import { STOP_BYTES, STOP_WORDS } from "./script/stop-words.js";
import { ScriptWorker, type SessionEnd } from "./script-worker.js";
import { redirectWarnings } from "./thread.js";

/** A thread that loads what a session needs while the command line is still being read. */
export interface PreparedSession {
  /**
   * Runs the session to its end; this thread stays free for Ctrl-C, and for a machine that is booted.
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
  const stop = new SharedArrayBuffer(STOP_BYTES);
  const worker = new ScriptWorker({ doorbell: doorbell.buffer, stop });
  const words = new Int32Array(stop);
  const endSession = (request: number): void => {
    const { request: at } = STOP_WORDS;
    Atomics.store(words, at, Math.max(request, Atomics.load(words, at)));
    doorbell.ring();
  };
  const commandEnded = (status: number | undefined): void => {
    if (status !== undefined) Atomics.store(words, STOP_WORDS.commandStatus, status + 1);
    endSession(1);
  };
  return {
    run: async (options, interrupts) => {
      const guard = new StarvationGuard(doorbell.buffer);
      const interrupted = new AbortController();
      interrupts.onInterrupt((count) => {
        endSession(count > 1 ? 2 : 1);
        interrupted.abort();
      });
      try {
        const end = await endOf(worker, options, commandEnded, interrupted.signal);
        if (end.kind === "ended") return end.status;
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
      await worker.cancel();
    },
  };
}

async function endOf(
  worker: ScriptWorker,
  options: SessionOptions,
  endSession: LabControl["endSession"],
  interrupted: AbortSignal,
): Promise<SessionEnd> {
  if (options.kernel?.lab !== undefined) {
    // What boots machines is loaded only where one is booted.
    const { runInLab } = await import("./lab-session.js");
    return runInLab(options, options.kernel, options.kernel.lab, worker, { endSession, interrupted });
  }
  worker.tell({ kind: "options", options });
  return worker.ended;
}
