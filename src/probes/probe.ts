import type { MemoryFault } from "../base/errors.js";
import type { Address } from "../base/address.js";
import type { RegisterFile } from "../arch/x86_64/registers.js";
import type { Memory, SpaceId, Target, ThreadFacts, ThreadId } from "../targets/target.js";
import type { InstructionFault, Phase } from "./instruction-fault.js";
import type { HandlerOutcome } from "./outcome.js";

/** Runs one handler for one hit and contains whatever it raises. */
export type Handler = (hit: Hit) => HandlerOutcome;

/** What a probe does, by phase. Absent phases cost nothing. */
export interface ProbeDefinition {
  /** For messages: the probe point as its author wrote it. */
  readonly name: string;
  readonly pre?: Handler | undefined;
  readonly post?: Handler | undefined;
  /** `"both"`: the post-handler is also called for an instruction fault, told by `hit.fault` (option b). */
  readonly postOn?: "completion" | "both" | undefined;
  /** Called for an instruction fault only (option a). */
  readonly fault?: Handler | undefined;
  /** Call the fault phase only for exceptions that are not retried (row S12). */
  readonly faultWhen?: "always" | "not-retried" | undefined;
  /** Told of an unfenced fault of one of this probe's handlers; never of an instruction fault. */
  readonly faultHandler?: ((hit: Hit, fault: MemoryFault) => void) | undefined;
  /** Consecutive cancelled hits after which the probe is disarmed; 0 means never. Default 100. */
  readonly maxCancelled?: number | undefined;
  /** Not shown in reports: the engine's own (library loads, return sites). */
  readonly internal?: boolean | undefined;
}

/** Counters of a probe. */
export const COUNTERS = [
  "hits",
  "completed",
  "faulted",
  "abandoned",
  "nmissed",
  "retries",
  "fencedFaults",
  "handlerFaults",
  "handlerErrors",
] as const;

export type CounterName = (typeof COUNTERS)[number];

/**
 * A registered probe and its books. `hits = completed + faulted + abandoned` holds whenever no
 * thread is inside a hit.
 */
export class Probe {
  /** Arrivals whose handlers ran. */
  hits = 0;
  /** The probed instruction ran to its end. */
  completed = 0;
  /** The probed instruction raised an exception. */
  faulted = 0;
  /**
   * The thread left another way: exec, exit, kill, a signal handler that never returned; or no slot could be
   * had, and it executes the instruction in its place, unseen.
   */
  abandoned = 0;
  /** Arrivals that ran no handler: recursion, overload. */
  nmissed = 0;
  /** Those among the hits that tried a faulted instruction again. */
  retries = 0;
  /** Faults of handlers that a fence caught. */
  fencedFaults = 0;
  /** Faults of handlers that no fence caught: cancelled handlers. */
  handlerFaults = 0;
  /** Errors of handlers that are no faults. */
  handlerErrors = 0;
  /** Handler time, microseconds; kept only where the core is asked to. */
  readonly time = { calls: 0, total: 0, min: Infinity, max: 0 };
  /** The first unfenced fault of a handler, for the line at the end. */
  firstFault: { readonly fault: MemoryFault; readonly where: string } | undefined;
  /** Why the engine disarmed it by itself, once it did. */
  disarmedBecause: string | undefined;

  armed = true;
  /** Consecutive cancelled hits, and the hit that was the last of them. */
  cancelledInRow = 0;
  lastCancelled = -1;

  constructor(
    readonly id: number,
    readonly definition: ProbeDefinition,
    /** Probes enter themselves here when one of their counters changes. */
    private readonly counted?: Set<Probe>,
  ) {}

  /** Adds to one of the counters. */
  count(what: CounterName, more = 1): void {
    this[what] += more;
    this.counted?.add(this);
  }

  /** The row of cancelled hits ends here. */
  forgetCancelled(): void {
    this.cancelledInRow = 0;
    this.lastCancelled = -1;
  }

  /** Exceptions that the probed instruction raised. */
  get instructionFaults(): number {
    return this.faulted;
  }
}

/**
 * One call of one handler: what it may ask. One object a core, refilled for each call, so a
 * handler must not keep it.
 */
export class Hit {
  thread = 0 as ThreadId;
  space = 0 as SpaceId;
  /** The probed address. */
  at = 0 as Address;
  phase: Phase = "pre";
  /** The probe whose handler runs. Set before every call. */
  probe!: Probe;
  /** Registers as at the probed instruction (pre, fault) or behind it (post). Writable. */
  registers!: RegisterFile;
  /** Set in the fault phase, and in a post-handler called for both outcomes. */
  fault: InstructionFault | undefined;
  /** How often in a row this instruction was tried again by this thread, this time included. */
  retries = 0;
  /** Faults of handlers within this hit, fenced or not: what `maxfault` bounds. */
  handlerFaults = 0;
  /** In a handler for the return of a function: what was kept when it was entered, see ReturnProbe. */
  saved: unknown;

  constructor(
    readonly target: Target,
    private readonly memoryOf: (space: SpaceId) => Memory = (space) => target.memory(space),
  ) {}

  /** As the program would have it without us: no breakpoint of ours shows. */
  get memory(): Memory {
    return this.memoryOf(this.space);
  }

  facts(): ThreadFacts {
    return this.target.facts(this.thread);
  }
}
