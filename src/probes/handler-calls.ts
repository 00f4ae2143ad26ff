import type { Address } from "../base/address.js";
import { assertNever } from "../base/assert-never.js";
import type { Memory, SpaceId, Target, ThreadId } from "../targets/target.js";
import type { Arrival } from "./arrival.js";
import { type Handler, Hit, type Probe } from "./probe.js";
import type { InstructionFault, Phase } from "./instruction-fault.js";
import type { Location } from "./location.js";
import type { HandlerOutcome } from "./outcome.js";

/** In `hit.thread` where no thread is concerned: begin, end, timers. */
export const NO_THREAD = 0 as ThreadId;

const DEFAULT_MAXIMUM_CANCELLED = 100;

/**
 * Calls handlers and keeps the books of how they end. The one place where a handler fault becomes
 * a count, a cancelled handler, a call of `faultHandler` (cases 2 and 5), or a disarmed probe.
 */
export class HandlerCalls {
  private readonly hit: Hit;

  constructor(
    target: Target,
    memoryOf: (space: SpaceId) => Memory,
    private readonly timing: boolean,
    private readonly on: {
      readonly disarm: (probe: Probe, why: string) => void;
      readonly failed: (probe: Probe, outcome: HandlerOutcome) => void;
    },
  ) {
    this.hit = new Hit(target, memoryOf);
  }

  /** Prepares the hit for a thread at a location; the calls that follow are for it. */
  begin(thread: ThreadId, location: Location, arrival: Arrival, fault: InstructionFault | undefined): Hit {
    const hit = this.hit;
    hit.thread = thread;
    hit.space = location.space;
    hit.at = location.address;
    hit.registers = hit.target.registers(thread);
    hit.fault = fault;
    hit.retries = arrival.retries;
    return hit;
  }

  /**
   * Does something that prepares the hit for itself, in the middle of another hit's handlers: an event that
   * the engine's own probe tells of.
   */
  within(body: () => void): void {
    const { hit } = this;
    const { thread, space, at, phase, probe, registers, fault, retries, handlerFaults, saved } = hit;
    body();
    Object.assign(hit, {
      ...{ thread, space, at, phase, probe, registers, fault, retries, handlerFaults, saved },
    });
  }

  /** Prepares the hit for an event that has no location. */
  beginEvent(thread: ThreadId | undefined, arrival: Arrival, fault: InstructionFault | undefined): void {
    const hit = this.hit;
    hit.thread = thread ?? NO_THREAD;
    hit.at = 0 as Address;
    if (thread !== undefined) {
      hit.space = hit.target.spaceOf(thread);
      hit.registers = hit.target.registers(thread);
    }
    hit.fault = fault;
    hit.retries = arrival.retries;
  }

  /** @param index position of the probe in the arrival */
  call(probe: Probe, phase: Phase, handler: Handler, arrival: Arrival, index: number): void {
    const hit = this.hit;
    hit.probe = probe;
    hit.phase = phase;
    hit.handlerFaults = arrival.handlerFaults[index] ?? 0;
    hit.saved = arrival.saved[index];
    const began = this.timing ? performance.now() : 0;
    const outcome = handler(hit);
    if (this.timing) addTime(probe, performance.now() - began);
    arrival.handlerFaults[index] = hit.handlerFaults;
    if (outcome.kind !== "returned") this.settle(probe, outcome);
  }

  private settle(probe: Probe, outcome: Exclude<HandlerOutcome, { kind: "returned" }>): void {
    switch (outcome.kind) {
      case "handler-fault":
        probe.count("handlerFaults");
        probe.firstFault ??= { fault: outcome.fault, where: outcome.where };
        probe.definition.faultHandler?.(this.hit, outcome.fault);
        this.countCancelled(probe);
        break;
      case "error":
        probe.count("handlerErrors");
        break;
      case "runaway":
        this.on.disarm(probe, outcome.message);
        break;
      case "missed":
        probe.count("nmissed");
        break;
      default:
        assertNever(outcome);
    }
    this.on.failed(probe, outcome);
  }

  private countCancelled(probe: Probe): void {
    if (probe.lastCancelled === probe.hits) return;
    // The hit before this one was cancelled too: one more in a row. Else a row begins.
    probe.cancelledInRow = probe.lastCancelled === probe.hits - 1 ? probe.cancelledInRow + 1 : 1;
    probe.lastCancelled = probe.hits;
    const bound = probe.definition.maxCancelled ?? DEFAULT_MAXIMUM_CANCELLED;
    if (bound !== 0 && probe.cancelledInRow >= bound) {
      this.on.disarm(probe, `${String(bound)} hits in a row were cancelled by a fault (MAXCANCELLED)`);
    }
  }
}

function addTime(probe: Probe, milliseconds: number): void {
  const microseconds = milliseconds * 1000;
  const time = probe.time;
  time.calls++;
  time.total += microseconds;
  if (microseconds < time.min) time.min = microseconds;
  if (microseconds > time.max) time.max = microseconds;
}
