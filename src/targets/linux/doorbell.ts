import { DOORBELL, DOORBELL_BYTES } from "./doorbell-words.js";
import { SYS, systemCall3 } from "../system-calls.js";
import { WAKE_SIGNAL } from "./waiter.js";

/** How often the bell is rung again until it was heard: a signal just before the wait is lost. */
const REPEAT_MS = 2;

/**
 * Wakes the thread that waits for a target, from another thread of the same process. Give
 * `buffer` to {@link LinuxTarget.launch} or attach as `doorbell`.
 */
export class Doorbell {
  readonly buffer: SharedArrayBuffer;
  private readonly words: Int32Array;
  private timer: NodeJS.Timeout | undefined;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(DOORBELL_BYTES)) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
  }

  /** Makes the current or the next wait return undefined. Returns at once. */
  ring(): void {
    Atomics.store(this.words, DOORBELL.rung, 1);
    Atomics.notify(this.words, DOORBELL.rung);
    this.timer ??= setInterval(() => this.knock(), REPEAT_MS);
    this.knock();
  }

  /** Rings no more. */
  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private knock(): void {
    const tracer = Atomics.load(this.words, DOORBELL.tracer);
    if (Atomics.load(this.words, DOORBELL.rung) === 0 || tracer === 0) {
      clearInterval(this.timer);
      this.timer = undefined;
      return;
    }
    // ESRCH: the tracer thread has ended, and nobody needs waking.
    if (systemCall3(SYS.tgkill, process.pid, tracer, WAKE_SIGNAL) < 0) {
      Atomics.store(this.words, DOORBELL.rung, 0);
    }
  }
}
