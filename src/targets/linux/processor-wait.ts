import { TargetGone } from "../../base/errors.js";
import { isRunnable } from "./facts.js";
import { readFile } from "./process-files.js";

/** Tells whether a thread wants a processor and gets none: it can do nothing about it then. */
export class ProcessorWait {
  private ran = "";

  constructor(private readonly thread: number) {}

  /** Whether it has not run at all since this was asked last, and would have. Not asked again within a few ticks. */
  lasts(): boolean {
    const before = this.ran;
    try {
      // Its first number is the time on a processor. Documentation/scheduler/sched-stats.rst of the kernel.
      this.ran = readFile(this.thread, "schedstat").split(" ", 1)[0] ?? "";
    } catch (error) {
      if (!(error instanceof TargetGone)) throw error;
      return false;
    }
    return this.ran === before && this.ran !== "" && isRunnable(this.thread);
  }
}
