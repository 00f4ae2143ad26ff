import { COUNTERS, type CounterName } from "../../probes/probe.js";
import type { Command } from "./protocol.js";

/** A probe's faults by kind; the two ways never meet. */
export interface FaultCounts {
  /** Of handlers, caught by a fence: cases 1 and 4. */
  readonly fenced: number;
  /** Of handlers, caught by none: each cancelled one handler. Cases 2 and 5. */
  readonly handler: number;
  /** Of the probed instruction: case 3. */
  readonly instruction: number;
}

/**
 * A probe that was registered. Disposing unregisters it. Its counters are as of the last hand-over
 * from the engine: a handler, an answered command, the end of the target.
 */
export class RegisteredProbe implements AsyncDisposable {
  /** Why the engine disarmed it by itself, if it did and it is not armed again since. */
  disarmedBecause: string | undefined;
  /** What handlers raised that is no fault of the target: bugs. The first ten; {@link handlerErrors} counts all. */
  readonly errors: string[] = [];

  constructor(
    readonly name: string,
    private readonly id: number,
    private readonly counters: Float64Array,
    private readonly ask: (command: Command) => Promise<void>,
    private readonly forget: () => void,
  ) {}

  /** Arrivals whose handlers ran. `hits = completed + faulted + abandoned`. */
  get hits(): number {
    return this.count("hits");
  }
  get completed(): number {
    return this.count("completed");
  }
  /** The instruction raised an exception. */
  get faulted(): number {
    return this.count("faulted");
  }
  /** The thread left another way: exec, exit, kill, a signal handler that did not return. */
  get abandoned(): number {
    return this.count("abandoned");
  }
  /** Arrivals that ran no handler. */
  get nmissed(): number {
    return this.count("nmissed");
  }
  /** Hits that tried a faulted instruction again. */
  get retries(): number {
    return this.count("retries");
  }
  /** Faults, by kind: as of one moment. */
  get faults(): FaultCounts {
    return { fenced: this.fencedFaults, handler: this.handlerFaults, instruction: this.faulted };
  }
  /** Handler faults that a fence caught. */
  get fencedFaults(): number {
    return this.count("fencedFaults");
  }
  /** Handlers that a fault cancelled. */
  get handlerFaults(): number {
    return this.count("handlerFaults");
  }
  /** Exceptions that the probed instruction raised; the same as {@link faulted}. */
  get instructionFaults(): number {
    return this.count("faulted");
  }
  /** Handlers that raised something which is no fault of the target. */
  get handlerErrors(): number {
    return this.count("handlerErrors");
  }

  /** Takes it out of the target until {@link arm}. Takes effect before the next handler is called. */
  async disarm(): Promise<void> {
    await this.ask({ kind: "disarm", probe: this.id });
  }

  async arm(): Promise<void> {
    await this.ask({ kind: "arm", probe: this.id });
    this.disarmedBecause = undefined;
  }

  async unregister(): Promise<void> {
    await this.ask({ kind: "unregister", probe: this.id });
    this.forget();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unregister();
  }

  private count(name: CounterName): number {
    return this.counters[this.id * COUNTERS.length + COUNTERS.indexOf(name)] ?? 0;
  }
}
