import { readdirSync, readFileSync } from "node:fs";

/** An emulated machine that has nothing to do still looks at its timers. Measured: 1 to 3 percent of a processor. */
const IDLE_SHARE = 0.1;
const NANOSECONDS = 1e6;

/**
 * For how long a process has had next to nothing to do. One that waits for a processor is not idle, however
 * little it gets of one.
 */
export class Idleness {
  private last: { readonly at: number; readonly busy: number } | undefined;
  private since: number;

  constructor(
    private readonly pid: number,
    private readonly now: () => number = () => performance.now(),
    private readonly busyTime: (pid: number) => number | undefined = busyMilliseconds,
  ) {
    this.since = now();
    this.look();
  }

  /** Asked every now and then. @returns 0 where it was busy since it was asked last, or nobody knows */
  milliseconds(): number {
    const { last } = this;
    const current = this.look();
    const isIdle =
      last !== undefined &&
      current !== undefined &&
      current.busy - last.busy < IDLE_SHARE * (current.at - last.at);
    if (!isIdle) this.since = this.now();
    return this.now() - this.since;
  }

  private look(): typeof this.last {
    const busy = this.busyTime(this.pid);
    this.last = busy === undefined ? undefined : { at: this.now(), busy };
    return this.last;
  }
}

/**
 * What all threads of a process ran, and waited to run. proc(5), /proc/PID/schedstat: nanoseconds run, nanoseconds
 * waited on a run queue.
 */
function busyMilliseconds(pid: number): number | undefined {
  try {
    const tasks = `/proc/${String(pid)}/task`;
    let sum = 0;
    for (const task of readdirSync(tasks)) {
      const [ran = NaN, waited = NaN] = readFileSync(`${tasks}/${task}/schedstat`, "latin1")
        .split(" ")
        .map(Number);
      sum += ran + waited;
    }
    return Number.isNaN(sum) ? undefined : sum / NANOSECONDS;
  } catch {
    // It is gone, which is told elsewhere, or the kernel does not count.
    return undefined;
  }
}
