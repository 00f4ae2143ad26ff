/** What a machine itself says of how long it has run, nanoseconds; undefined: it does not say. */
export type Counter = () => bigint | undefined;

/**
 * How long a machine has run: nanoseconds of the host's monotonic clock, without those in which it stood.
 *
 * Seen from here it runs from when it is told to until its stop is read. That is too long by the ways there and
 * back, which on a busy host are milliseconds. (Not from when the answers that come before it runs have been read:
 * it may have run for long by then.) So where the machine counts for itself that is taken, as far as the two can
 * be reconciled.
 */
export class RunClock {
  private ran = 0n;
  private since = 0n;
  /** Whether `ran` is what the machine counted up to its last stop. */
  private isRead = false;
  private last: { readonly counted: bigint; readonly ran: bigint } | undefined;
  private told = 0n;

  constructor(
    private readonly counter: Counter,
    private readonly now: () => bigint = () => process.hrtime.bigint(),
  ) {}

  /** It is about to be told to run. */
  starts(): void {
    this.since = this.now();
  }

  /** Its stop was read. */
  stopped(): void {
    this.ran += this.now() - this.since;
    this.isRead = false;
  }

  /** Never less than it was. While the machine runs nobody can ask it. */
  read(isRunning: boolean): bigint {
    let ran = this.ran;
    if (isRunning) ran += this.now() - this.since;
    else if (!this.isRead) {
      this.isRead = true;
      ran = this.reconcile();
    }
    if (ran > this.told) this.told = ran;
    return this.told;
  }

  /** It cannot have run for longer than it looked from here: one that says so was set to something else. */
  private reconcile(): bigint {
    const counted = this.counter();
    if (counted === undefined) {
      this.last = undefined;
      return this.ran;
    }
    const { last } = this;
    if (last !== undefined) {
      const run = counted - last.counted;
      if (run >= 0n && run <= this.ran - last.ran) this.ran = last.ran + run;
    }
    this.last = { counted, ran: this.ran };
    return this.ran;
  }
}
