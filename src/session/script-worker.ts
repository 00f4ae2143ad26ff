import type { Worker } from "node:worker_threads";
import type { FromScriptThread, ScriptThreadData, ToScriptThread } from "./script/script-thread.js";
import { startThread } from "./thread.js";

/** How a session ended. */
export type SessionEnd = Exclude<FromScriptThread, { readonly kind: "armed" }>;

/** The thread of a session, as the one sees it that talks with it. */
export class ScriptWorker {
  private readonly worker: Worker;
  private tellArmed: () => void = () => undefined;
  /** All is armed. Does not settle where it never is. */
  readonly armed = new Promise<void>((resolve) => {
    this.tellArmed = resolve;
  });
  /** Rejects where the thread ends by a bug of ours. */
  readonly ended: Promise<SessionEnd>;

  constructor(data: ScriptThreadData) {
    this.worker = startThread(new URL("./script/script-thread.js", import.meta.url), { workerData: data });
    this.ended = new Promise((resolve, reject) => {
      this.worker.on("message", (message: FromScriptThread) => {
        if (message.kind === "armed") this.tellArmed();
        else resolve(message);
      });
      this.worker.once("error", reject);
      this.worker.once("exit", () => {
        reject(new Error("the session's thread ended without a word"));
      });
    });
    // It may end while nobody looks: whoever asks then is told.
    this.ended.catch(() => undefined);
  }

  tell(message: ToScriptThread): void {
    this.worker.postMessage(message);
  }

  /** Ends the thread where it stands: only as long as it has no target. */
  async cancel(): Promise<void> {
    await this.worker.terminate();
  }
}
