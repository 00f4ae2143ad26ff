/** Where a line of progress goes. */
export interface ProgressSink {
  readonly isTerminal: boolean;
  write(text: string): void;
}

const SILENT_MILLISECONDS = 1000;
const BETWEEN_MILLISECONDS = 100;
const CLEAR_LINE = "\r\u001b[K";

/**
 * One line on a terminal, rewritten in place, for work that takes longer than a second: arming
 * thousands of probes. Quick work, and work whose output is not a terminal, shows nothing.
 */
export class Progress {
  private readonly began: number;
  private shownAt = -Infinity;

  /**
   * @param what "arming probes"
   * @param now  milliseconds, as `performance.now()` counts them
   */
  constructor(
    private readonly what: string,
    private readonly sink: ProgressSink,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.began = now();
  }

  /** `done` of `total` are ready. Cheap: may be called for each. */
  advance(done: number, total: number): void {
    if (!this.sink.isTerminal) return;
    const at = this.now();
    if (at - this.began < SILENT_MILLISECONDS || at - this.shownAt < BETWEEN_MILLISECONDS) return;
    this.shownAt = at;
    this.sink.write(`${CLEAR_LINE}${this.what}: ${done} of ${total}`);
  }

  /** Takes the line away, where one was shown. */
  end(): void {
    if (this.shownAt === -Infinity) return;
    this.shownAt = -Infinity;
    this.sink.write(CLEAR_LINE);
  }
}
