import type { Interrupts } from "../session/options.js";

/** The part of a process that receives signals. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown;
  off(signal: NodeJS.Signals, listener: () => void): unknown;
}

/**
 * Turns signals into requests to end the session: Ctrl-C once ends it as `exit()` does, twice at
 * once. SIGTERM and SIGHUP end it as `exit()` does, however many come: whoever sends those does
 * not sit at a keyboard and gets the end probes' output.
 */
export class SignalInterrupts implements Interrupts, Disposable {
  private count = 0;
  private stop: ((count: number) => void) | undefined;

  /** @param abandon what a second Ctrl-C does while no session has registered yet */
  constructor(
    private readonly source: SignalSource,
    private readonly abandon: () => void,
  ) {
    source.on("SIGINT", this.press);
    source.on("SIGTERM", this.end);
    source.on("SIGHUP", this.end);
  }

  onInterrupt(stop: (count: number) => void): void {
    this.stop = stop;
    if (this.count > 0) stop(this.count);
  }

  [Symbol.dispose](): void {
    this.source.off("SIGINT", this.press);
    this.source.off("SIGTERM", this.end);
    this.source.off("SIGHUP", this.end);
  }

  private readonly press = (): void => {
    this.raise(this.count + 1);
  };

  private readonly end = (): void => {
    if (this.count === 0) this.raise(1);
  };

  private raise(count: number): void {
    this.count = count;
    if (this.stop !== undefined) this.stop(count);
    else if (count > 1) this.abandon();
  }
}
