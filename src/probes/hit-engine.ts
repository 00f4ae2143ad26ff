import { type Address, toBigInt } from "../base/address.js";
import { ProbeRefused } from "../base/errors.js";
import type { Emulate, Emulated } from "../arch/x86_64/emulate.js";
import { mayHaveRaised, type RaisedAs } from "../arch/x86_64/exceptions.js";
import {
  CONTINUE,
  type RaisedException,
  STEP,
  type ReturnToken,
  type SignalInfo,
  type Target,
  type ThreadId,
} from "../targets/target.js";
import { Arrival, type OpenArrival, type ThreadState } from "./arrival.js";
import { isProgramsOwn } from "./arming.js";
import type { HandlerCalls } from "./handler-calls.js";
import type { InstructionFault, Phase } from "./instruction-fault.js";
import type { Location, Slot } from "./location.js";
import { beforeDeath } from "./last-words.js";
import { pointAt, settle, slotForm, writeSlot } from "./out-of-line.js";
import type { Probe } from "./probe.js";
import type { ProbedSpace } from "./space.js";

/** What {@link HitEngine.fire} is told of an event. */
export interface EventDetails {
  readonly fault?: InstructionFault;
  readonly retries?: number;
  /** A system call is told in two halves: its entry begins a hit, its return ends it. Default: whole. */
  readonly part?: "whole" | "begin" | "end";
}

/** The trap of an `int3` that the program itself holds at the probed address. */
const OWN_BREAKPOINT: SignalInfo = {
  number: 5,
  name: "SIGTRAP",
  code: 0x80,
  address: undefined,
  synchronous: true,
};

/**
 * One thread's way through a hit: idle → active (pre-handlers) → stepping or boosted → done
 * (post-handlers) → idle, in kprobes' words. Every way out ends in {@link finish}, {@link fault}
 * or {@link abandon}, so the books are the same however a handler ends (row S10).
 *
 * The plain hit (breakpoint, pre-handlers, boosted slot) allocates nothing.
 */
export class HitEngine {
  private nextToken = 1;
  /** Receives arrivals that were left for good; reused. */
  private readonly left: OpenArrival[] = [];

  constructor(
    private readonly target: Target,
    private readonly calls: HandlerCalls,
    private readonly giveUp: (location: Location, why: string) => void,
  ) {}

  /** A breakpoint of ours was hit. */
  onArrival(
    thread: ThreadId,
    state: ThreadState,
    space: ProbedSpace,
    location: Location,
    returned: ReturnToken,
  ): void {
    const arrival = state.arrival;
    const registers = this.target.registers(thread);
    registers.pc = location.address;
    if (arrival.state === "active") {
      this.missRecursion(thread, state, space, location);
      return;
    }
    // A stepped instruction that never reached the breakpoint behind it left another way.
    if (arrival.state === "stepping") this.abandon(arrival);
    let retries = 0;
    if (returned !== 0) {
      const open = this.comeBack(state, returned);
      if (open?.why === "rewound" && open.arrival.location === location) {
        // The hit was counted and its pre-handlers ran before the signal came: on with the instruction.
        arrival.restore(open.arrival);
        this.execute(thread, state, space, location);
        return;
      }
      if (open?.why === "faulted") retries = open.arrival.retries + 1;
      // The text was unmapped meanwhile, and probed anew: that hit does not go on.
      else if (open !== undefined) this.abandonOpen(open);
    }
    arrival.clear();
    arrival.location = location;
    arrival.retries = retries;
    arrival.state = "active";
    this.runPre(thread, arrival, location);
    if (registers.pc === location.address) this.execute(thread, state, space, location);
    else this.goElsewhere(thread, arrival);
  }

  /** A breakpoint inside one of our slots: behind the instruction, or the instruction's own. */
  onSlotTrap(thread: ThreadId, state: ThreadState, space: ProbedSpace, slot: Slot): void {
    const { arrival } = state;
    const registers = this.target.registers(thread);
    if (!slot.code.stops.includes(registers.pc - slot.address)) {
      this.onInstructionFault(thread, state, space, slot, OWN_BREAKPOINT, "trap");
      return;
    }
    settle(slot, registers, space.memory);
    if (arrival.state === "stepping" && arrival.location === slot.location) this.finish(thread, arrival);
    else this.target.resume(thread, CONTINUE); // a child that was born in the slot
  }

  /** A breakpoint trap where we have no breakpoint (now). */
  onStrayTrap(thread: ThreadId, at: Address, space: ProbedSpace): void {
    if (isProgramsOwn(space, at)) {
      beforeDeath(this.target, thread, space, OWN_BREAKPOINT);
      this.target.resume(thread, { kind: "deliver" });
      return;
    }
    // Disarmed between the trap and now: the original instruction is there to be executed.
    this.target.registers(thread).pc = at;
    this.target.resume(thread, CONTINUE);
  }

  /** A single step over a displaced instruction is done. */
  onStep(thread: ThreadId, state: ThreadState): void {
    const arrival = state.arrival;
    if (arrival.state === "stepping") this.finish(thread, arrival);
    else this.target.resume(thread, CONTINUE);
  }

  /**
   * The instruction that was executed in its place raised an exception: case 3, told by the target.
   * Registers are as the target's own handler is to see them.
   */
  onRaised(thread: ThreadId, state: ThreadState, exception: RaisedException): void {
    const { arrival } = state;
    const { location } = arrival;
    let watch: ReturnToken = 0;
    // Else it is that of a hit that was missed, in a function that a handler called.
    if (location !== undefined && arrival.state === "stepping") {
      const { name, vector, errorCode, address, retryable } = exception;
      this.runFault(thread, arrival, location, { name, number: vector, code: errorCode, address, retryable });
      if (retryable) watch = this.interrupt(state, "faulted");
      arrival.state = "idle";
    }
    this.target.resume(thread, { kind: "deliver", watch });
  }

  /** An interrupt came before the instruction that was to be executed in its place: the hit goes on after it. */
  onDeferred(thread: ThreadId, state: ThreadState): void {
    let watch: ReturnToken = 0;
    if (state.arrival.state === "stepping") {
      watch = this.interrupt(state, "rewound");
      state.arrival.clear();
    }
    this.target.resume(thread, { kind: "deliver", watch });
  }

  onSignal(thread: ThreadId, state: ThreadState, space: ProbedSpace | undefined, signal: SignalInfo): void {
    const registers = this.target.registers(thread);
    const slot = space?.slots.at(registers.pc);
    if (space === undefined || slot === undefined) {
      if (space !== undefined) beforeDeath(this.target, thread, space, signal);
      this.target.resume(thread, { kind: "deliver" });
      return;
    }
    const raisedAs = raisedBy(slot, registers.pc, signal);
    if (raisedAs === undefined) this.onAsynchronous(thread, state, space, slot, signal);
    else this.onInstructionFault(thread, state, space, slot, signal, raisedAs);
  }

  /** A thread is about to end: where its instruction did not run, or was its last system call, the hit is not completed. */
  onExiting(thread: ThreadId, state: ThreadState, space: ProbedSpace | undefined): void {
    const { pc } = this.target.registers(thread);
    const slot = space?.slots.at(pc);
    const arrival = state.arrival;
    if (arrival.state !== "boosted" || slot === undefined || slot.location !== arrival.location) return;
    if (pointAt(slot, pc)?.kind === "after" && !slot.location.displacement.facts.isSystemCall) return;
    this.uncomplete(arrival);
    this.abandon(arrival);
  }

  /** A thread is gone, or its image was replaced. */
  onGone(state: ThreadState, by: "exec" | "end"): void {
    const arrival = state.arrival;
    // At its end the thread was looked at in onExiting: a boosted arrival that is still here had completed.
    if (
      by === "exec" &&
      arrival.state === "boosted" &&
      arrival.location?.displacement.facts.isSystemCall === true
    ) {
      this.uncomplete(arrival);
      this.abandon(arrival);
    } else if (arrival.state === "stepping" || arrival.state === "active") this.abandon(arrival);
    this.abandonInterrupted(state);
  }

  /** Moves a stopped thread out of its slot before we leave the target. */
  leadOut(thread: ThreadId, state: ThreadState, space: ProbedSpace): void {
    const registers = this.target.registers(thread);
    const slot = space.slots.at(registers.pc);
    if (slot !== undefined) settle(slot, registers, space.memory);
    // The instruction executes without us, or just has, or will when a handler returns: nobody sees how it ended.
    if (state.arrival.state === "stepping") this.abandon(state.arrival);
    this.abandonInterrupted(state);
  }

  /** See ProbeCore.fire. */
  fire(probe: Probe, phase: Phase | "none", thread: ThreadId | undefined, details: EventDetails): void {
    const { part = "whole", fault, retries = 0 } = details;
    if (part !== "end") {
      probe.count("hits");
      if (retries > 0) probe.count("retries");
    }
    if (part !== "begin") {
      if (fault === undefined) probe.count("completed");
      else probe.count("faulted");
    }
    const { definition } = probe;
    const wanted = phase !== "fault" || definition.faultWhen !== "not-retried" || fault?.retryable !== true;
    // Disarmed between its begin and its end, a hit is counted all the same, without handlers.
    const { armed } = probe;
    if (phase === "none" || !armed) return;
    const handler = wanted ? definition[phase] : undefined;
    const both = phase === "fault" && definition.postOn === "both" ? definition.post : undefined;
    const arrival = new Arrival();
    arrival.retries = retries;
    this.calls.within(() => {
      this.calls.beginEvent(thread, arrival, fault);
      if (handler !== undefined) this.calls.call(probe, phase, handler, arrival, 0);
      if (both !== undefined && probe.armed) this.calls.call(probe, "post", both, arrival, 0);
    });
  }

  private runPre(thread: ThreadId, arrival: Arrival, location: Location): void {
    const hit = this.calls.begin(thread, location, arrival, undefined);
    for (const entry of location.entries) {
      const probe = entry.probe;
      hit.saved = undefined;
      if (!probe.armed || (entry.accepts !== undefined && !entry.accepts(hit))) continue;
      probe.count("hits");
      if (arrival.retries > 0) probe.count("retries");
      const index = arrival.add(probe, hit.saved);
      if (probe.definition.pre !== undefined)
        this.calls.call(probe, "pre", probe.definition.pre, arrival, index);
    }
  }

  /** Executes the displaced instruction, emulated or out of line, and lets the thread go. */
  private execute(thread: ThreadId, state: ThreadState, space: ProbedSpace, location: Location): void {
    const { arrival } = state;
    const registers = this.target.registers(thread);
    const { displacement } = location;
    const stop = wantsPost(arrival);
    let because: Obstacle | undefined;
    const inPlace = this.target.capabilities.executesInPlace === true;
    const emulate = this.emulationFor(location, stop, inPlace);
    if (emulate !== undefined) {
      const outcome = emulate(registers, space.memory);
      if (outcome === "done") {
        this.finish(thread, arrival);
        return;
      }
      because = outcome;
    }
    if (inPlace) {
      this.executeInPlace(thread, arrival, location);
      return;
    }
    // Behind an instruction that goes elsewhere no breakpoint of the slot is reached: a step tells.
    const step = stop && displacement.facts.endsFlow;
    const slot = this.slotFor(thread, space, location, stop && !step, because);
    if (slot === undefined) {
      if (this.emulationFor(location, stop, inPlace) !== emulate) {
        this.execute(thread, state, space, location);
        return;
      }
      // Nobody will see the instruction run, or fault.
      this.abandon(arrival);
      this.target.resume(thread, CONTINUE);
      return;
    }
    registers.pc = slot.address;
    if (stop) arrival.state = "stepping";
    else {
      arrival.state = "boosted";
      this.complete(arrival);
    }
    this.target.resume(thread, step ? STEP : CONTINUE);
  }

  private emulationFor(location: Location, stop: boolean, slotless: boolean): Emulate | undefined {
    const { keepsStackPointer } = this.target.capabilities;
    if (keepsStackPointer === true && location.displacement.facts.changesStackPointer) return undefined;
    return emulationFor(location, stop, slotless);
  }

  private executeInPlace(thread: ThreadId, arrival: Arrival, location: Location): void {
    arrival.state = "stepping";
    const { displacement, originalByte } = location;
    this.target.resume(thread, {
      kind: "in-place",
      instruction: displacement.facts,
      original: originalByte,
    });
  }

  /** A pre-handler changed the program counter: as in kprobes the instruction is left out, and the post-handlers. */
  private goElsewhere(thread: ThreadId, arrival: Arrival): void {
    this.complete(arrival);
    arrival.state = "idle";
    this.target.resume(thread, CONTINUE);
  }

  private slotFor(
    thread: ThreadId,
    space: ProbedSpace,
    location: Location,
    stopAfter: boolean,
    because: Obstacle | undefined,
  ): Slot | undefined {
    const ready = location.slots.get(slotForm(stopAfter, because));
    if (ready !== undefined) return ready;
    try {
      return writeSlot(this.target, thread, space, location, stopAfter, because);
    } catch (error) {
      if (!(error instanceof ProbeRefused)) throw error;
      if (location.displacement.kind === "emulate" && because === undefined && !location.slotless) {
        // It costs more, and needs no memory.
        location.slotless = true;
        return undefined;
      }
      // The original byte comes back, and the thread executes the instruction in its place.
      this.giveUp(location, error.message);
      return undefined;
    }
  }

  /** The displaced instruction ran, and the thread goes on. */
  private finish(thread: ThreadId, arrival: Arrival): void {
    this.end(thread, arrival);
    this.target.resume(thread, CONTINUE);
  }

  /** The displaced instruction ran: post-handlers, and the hit is over. */
  private end(thread: ThreadId, arrival: Arrival): void {
    this.complete(arrival);
    const { location } = arrival;
    if (location !== undefined && wantsPost(arrival)) {
      arrival.state = "active";
      this.calls.begin(thread, location, arrival, undefined);
      for (let index = 0; index < arrival.count; index++) {
        const probe = arrival.probe(index);
        const { post } = probe.definition;
        if (probe.armed && post !== undefined) this.calls.call(probe, "post", post, arrival, index);
      }
    }
    arrival.state = "idle";
  }

  /** Case 3. Never calls a `faultHandler`. */
  private onInstructionFault(
    thread: ThreadId,
    state: ThreadState,
    space: ProbedSpace,
    slot: Slot,
    signal: SignalInfo,
    raisedAs: RaisedAs,
  ): void {
    const { arrival } = state;
    const { location } = slot;
    const registers = this.target.registers(thread);
    const raisedAt = registers.pc;
    settle(slot, registers, space.memory);
    const fault: InstructionFault = {
      name: signal.name,
      number: signal.number,
      code: signal.code,
      address: outsideSlot(signal.address, raisedAt, registers.pc),
      retryable: raisedAs === "fault" && this.target.disposition(thread, signal) === "handled",
    };
    let watch: ReturnToken = 0;
    if (arrival.location === location && (arrival.state === "boosted" || arrival.state === "stepping")) {
      if (arrival.state === "boosted") this.uncomplete(arrival);
      this.runFault(thread, arrival, location, fault);
      if (fault.retryable) watch = this.interrupt(state, "faulted");
    }
    arrival.state = "idle";
    beforeDeath(this.target, thread, space, signal);
    this.target.resume(
      thread,
      fault.address === undefined
        ? { kind: "deliver", watch }
        : { kind: "deliver", watch, address: fault.address },
    );
  }

  private runFault(thread: ThreadId, arrival: Arrival, location: Location, fault: InstructionFault): void {
    arrival.state = "active";
    this.calls.begin(thread, location, arrival, fault);
    for (let index = 0; index < arrival.count; index++) {
      const probe = arrival.probe(index);
      probe.count("faulted");
      const { definition } = probe;
      const wanted = definition.faultWhen !== "not-retried" || !fault.retryable;
      if (probe.armed && definition.fault !== undefined && wanted) {
        this.calls.call(probe, "fault", definition.fault, arrival, index);
      }
      if (probe.armed && definition.post !== undefined && definition.postOn === "both") {
        this.calls.call(probe, "post", definition.post, arrival, index);
      }
    }
  }

  /** A signal that has nothing to do with the instruction came while the thread was in a slot. */
  private onAsynchronous(
    thread: ThreadId,
    state: ThreadState,
    space: ProbedSpace,
    slot: Slot,
    signal: SignalInfo,
  ): void {
    const { arrival } = state;
    const registers = this.target.registers(thread);
    const disposition = this.target.disposition(thread, signal);
    if (disposition === "ignored" || disposition === "stops") {
      // No frame is made, nothing can see the slot: the thread goes on in it afterwards.
      this.target.resume(thread, { kind: "deliver" });
      return;
    }
    const ours =
      arrival.location === slot.location && (arrival.state === "boosted" || arrival.state === "stepping");
    const notRun = pointAt(slot, registers.pc)?.kind === "before";
    settle(slot, registers, space.memory);
    let watch: ReturnToken = 0;
    if (ours && notRun) {
      if (arrival.state === "boosted") this.uncomplete(arrival);
      if (disposition === "handled") {
        watch = this.interrupt(state, "rewound");
        arrival.clear();
      } else this.abandon(arrival);
    } else if (ours && arrival.state === "stepping") {
      this.end(thread, arrival);
    }
    beforeDeath(this.target, thread, space, signal);
    this.target.resume(thread, { kind: "deliver", watch });
  }

  private interrupt(state: ThreadState, why: OpenArrival["why"]): ReturnToken {
    const token = this.nextToken++;
    const pushedOut = state.interrupt({ token, why, arrival: state.arrival.snapshot() });
    if (pushedOut !== undefined) this.abandonOpen(pushedOut);
    return token;
  }

  private comeBack(state: ThreadState, returned: ReturnToken): OpenArrival | undefined {
    this.left.length = 0;
    const open = state.returnTo(returned, this.left);
    for (const each of this.left) this.abandonOpen(each);
    return open;
  }

  /** The hit came while this thread's own handler runs: no handler for it, but the instruction. */
  private missRecursion(thread: ThreadId, state: ThreadState, space: ProbedSpace, location: Location): void {
    for (const entry of location.entries) if (entry.probe.armed) entry.probe.count("nmissed");
    const outer = state.arrival.snapshot();
    state.arrival.clear();
    state.arrival.location = location;
    this.execute(thread, state, space, location);
    state.arrival.restore(outer);
    state.arrival.state = "active";
  }

  private complete(arrival: Arrival): void {
    for (let index = 0; index < arrival.count; index++) arrival.probe(index).count("completed");
  }

  private uncomplete(arrival: Arrival): void {
    for (let index = 0; index < arrival.count; index++) arrival.probe(index).count("completed", -1);
  }

  private abandon(arrival: Arrival): void {
    for (let index = 0; index < arrival.count; index++) arrival.probe(index).count("abandoned");
    arrival.clear();
  }

  private abandonInterrupted(state: ThreadState): void {
    for (const open of state.abandonAll()) this.abandonOpen(open);
  }

  private abandonOpen(open: OpenArrival): void {
    // A faulted arrival is in the books as such already.
    if (open.why === "rewound") this.abandon(open.arrival);
  }
}

type Obstacle = Exclude<Emulated, "done">;

/** @param slotless there are no slots at all: nothing is cheaper than to emulate */
function emulationFor(location: Location, stop: boolean, slotless: boolean): Emulate | undefined {
  const { displacement } = location;
  const always = stop || slotless;
  if (displacement.kind === "emulate")
    return always || location.slotless || !displacement.slotIsCheaper ? displacement.emulate : undefined;
  if (slotless && displacement.emulate !== undefined) return displacement.emulate;
  return always && displacement.after.by === "emulation" ? displacement.after.emulate : undefined;
}

/** Did the instruction in this slot raise this signal by itself? A fault stands at it, a trap behind. */
function raisedBy(slot: Slot, pc: Address, signal: SignalInfo): RaisedAs | undefined {
  if (!signal.synchronous) return undefined;
  const standing = mayHaveRaised(signal.name, signal.code, slot.location.displacement.facts);
  if (standing === undefined) return undefined;
  const point = pointAt(slot, pc);
  if (standing === "either") return point?.kind === "after" ? "trap" : "fault";
  const plausible = standing === "fault" ? point?.kind !== "after" : point?.kind !== "before";
  return plausible ? standing : undefined;
}

/** Signals that tell the instruction's own address must not tell the slot's. */
function outsideSlot(address: bigint | undefined, raisedAt: Address, settled: Address): bigint | undefined {
  return address === toBigInt(raisedAt) ? toBigInt(settled) : address;
}

/** Does any probe of this arrival want to be called behind the instruction? Row S9: else it costs nothing. */
function wantsPost(arrival: Arrival): boolean {
  for (let index = 0; index < arrival.count; index++) {
    const probe = arrival.probe(index);
    if (probe.armed && probe.definition.post !== undefined) return true;
  }
  return false;
}
