/** Something to be done at a time, again and again. */
interface Timer {
  due: number;
  readonly period: number;
  readonly run: () => void;
}

/** The timers of a session, in the engine's own thread: it never returns to an event loop while it traces. */
export class Timers {
  private readonly timers: Timer[] = [];

  /** @param period milliseconds, more than 0 */
  every(period: number, run: () => void): void {
    this.timers.push({ due: performance.now() + period, period, run });
  }

  /** When the next one is due, as `performance.now()` counts; Infinity where there is none. */
  next(): number {
    let next = Infinity;
    for (const timer of this.timers) if (timer.due < next) next = timer.due;
    return next;
  }

  /** Runs what is due. A timer that fell behind runs once and takes up its beat again. */
  run(now: number): void {
    for (const timer of this.timers) {
      if (timer.due > now) continue;
      timer.due += timer.period * Math.max(1, Math.ceil((now - timer.due) / timer.period));
      timer.run();
    }
  }
}
