import { TargetError } from "../../base/errors.js";
import { startThread } from "../thread.js";
import type { EngineData } from "./protocol.js";

/** Threads that wait for their next engine, at most: each has some 15 MB. */
const MOST_IDLE = 2;

/** An engine's thread, as long as it has that engine. */
export interface HiredThread {
  /** It has ended, or has thrown what nobody caught. */
  onGone: ((why: Error) => void) | undefined;
}

/**
 * Threads whose engines have left their targets. They are used again: a new one costs a tenth of a second,
 * and what libraries keep for a thread of their own is not given back when it ends.
 */
const idle = new Set<Hired>();

class Hired implements HiredThread {
  onGone: ((why: Error) => void) | undefined;
  readonly worker = startThread(new URL("./engine-thread.js", import.meta.url));

  constructor() {
    // Its one message: the engine has left, and nothing of it remains.
    this.worker.on("message", () => {
      this.onGone = undefined;
      this.rest();
    });
    this.worker.on("error", (error) => {
      this.gone(error);
    });
    this.worker.on("exit", () => {
      this.gone(new TargetError("the engine's thread has ended unexpectedly"));
    });
  }

  /** An idle thread does not keep the process from ending. */
  private rest(): void {
    if (idle.size >= MOST_IDLE) {
      void this.worker.terminate();
      return;
    }
    this.worker.unref();
    idle.add(this);
  }

  private gone(why: Error): void {
    idle.delete(this);
    this.onGone?.(why);
    this.onGone = undefined;
  }
}

/** A thread that runs an engine with this, and tells by the port in it. */
export function hireThread(data: EngineData): HiredThread {
  const [resting] = idle;
  const thread = resting ?? new Hired();
  idle.delete(thread);
  thread.worker.ref();
  thread.worker.postMessage(data, [data.port]);
  return thread;
}
