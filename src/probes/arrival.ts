import type { ReturnToken } from "../targets/target.js";
import type { Location } from "./location.js";
import type { Probe } from "./probe.js";

/**
 * One arrival of one thread at a location, from its breakpoint to the end of the displaced
 * instruction. Objects are reused, one a thread, so that a plain hit allocates nothing.
 */
export class Arrival {
  location: Location | undefined;
  /**
   * The probes that counted this arrival as a hit: so many from the first on. What stands behind
   * them is of former arrivals: to shorten an array takes a tenth of the time of a hit.
   */
  readonly probes: Probe[] = [];
  count = 0;
  /** Faults of each of these probes' handlers in this arrival: what `maxfault` bounds. */
  readonly handlerFaults: number[] = [];
  /** What each of them has of the entry of the function that it returns from. */
  readonly saved: unknown[] = [];
  /** Where the hit is, in kprobes' words; `idle` where no arrival is under way. */
  state: "idle" | "active" | "stepping" | "boosted" = "idle";
  /** Times in a row that the instruction was tried again. */
  retries = 0;

  clear(): void {
    this.location = undefined;
    this.count = 0;
    this.state = "idle";
    this.retries = 0;
  }

  /** Counts the arrival for a probe. @returns its index here */
  add(probe: Probe, saved?: unknown): number {
    this.probes[this.count] = probe;
    this.handlerFaults[this.count] = 0;
    this.saved[this.count] = saved;
    return this.count++;
  }

  /** The probe of that index, which is below {@link count}. */
  probe(index: number): Probe {
    return this.probes[index] as Probe;
  }

  /** A copy that outlives the thread's next arrival. */
  snapshot(): Arrival {
    const copy = new Arrival();
    copy.restore(this);
    copy.state = this.state;
    return copy;
  }

  restore(from: Arrival): void {
    this.location = from.location;
    this.count = 0;
    for (let index = 0; index < from.count; index++) {
      this.add(from.probe(index), from.saved[index]);
      this.handlerFaults[index] = from.handlerFaults[index] ?? 0;
    }
    this.retries = from.retries;
  }
}

/**
 * An arrival that a signal handler of the target interrupted.
 * `rewound`: before the instruction ran; when the thread comes back the hit goes on.
 * `faulted`: by the instruction's own fault; when the thread comes back that is a retry.
 */
export interface OpenArrival {
  readonly token: ReturnToken;
  readonly why: "rewound" | "faulted";
  readonly arrival: Arrival;
}

/** More than any sane program nests; the oldest gives way. */
const MAXIMUM_OPEN = 64;

/** What the core knows of one thread. */
export class ThreadState {
  readonly arrival = new Arrival();
  private readonly open: OpenArrival[] = [];

  /** @returns the arrival that had to give way, if any */
  interrupt(open: OpenArrival): OpenArrival | undefined {
    this.open.push(open);
    return this.open.length > MAXIMUM_OPEN ? this.open.shift() : undefined;
  }

  /**
   * The arrival that the thread returned to. What it had interrupted later is left for good.
   *
   * @param left receives those
   */
  returnTo(token: ReturnToken, left: OpenArrival[]): OpenArrival | undefined {
    const index = this.open.findIndex((each) => each.token === token);
    if (index < 0) return undefined;
    left.push(...this.open.splice(index + 1));
    return this.open.pop();
  }

  /** Everything still open: the thread ends, or its image is replaced. */
  abandonAll(): OpenArrival[] {
    return this.open.splice(0);
  }
}
