import type { Address } from "../base/address.js";
import { assertNever } from "../base/assert-never.js";
import {
  CONTINUE,
  type Memory,
  type SpaceId,
  type Stop,
  type Target,
  type ThreadId,
} from "../targets/target.js";
import { ThreadState } from "./arrival.js";
import { type ArmOptions, armAt, disarmAt, isProgramsOwn } from "./arming.js";
import { changedLocations, sayChanged } from "./changed-text.js";
import { agreeWithMemory, dropLongForgotten, noteForgotten } from "./fork.js";
import { HandlerCalls } from "./handler-calls.js";
import { type EventDetails, HitEngine } from "./hit-engine.js";
import type { Phase } from "./instruction-fault.js";
import type { Location } from "./location.js";
import type { HandlerOutcome } from "./outcome.js";
import { Probe, type ProbeDefinition } from "./probe.js";
import { hideBreakpoints } from "./program-memory.js";
import { ProbedSpace } from "./space.js";

/** What the core tells its owner. */
export interface CoreListener {
  /** The engine disarmed a probe by itself: too many cancelled hits, a runaway handler. */
  probeDisarmed(probe: Probe, why: string): void;
  /** A handler ended otherwise than by returning. */
  handlerFailed(probe: Probe, outcome: HandlerOutcome): void;
  /** Text that was probed was changed by somebody else: the probes there are given up. */
  textChanged?(why: string, probes: readonly Probe[]): void;
  /** A location had to be given up at its first hit: no slot could be had. */
  locationLost(location: Location, why: string): void;
}

export interface CoreOptions {
  /** Keep handler times (two clock readings a call). */
  readonly timing?: boolean;
  /** Is given each probe whose counters change; whoever reads them takes it out. */
  readonly counted?: Set<Probe>;
}

/**
 * The kprobes core: which probes are where, and what happens when a thread arrives there. It knows
 * no operating system and no script; everything it does to a target goes through {@link Target}.
 */
export class ProbeCore {
  private readonly spaces = new Map<SpaceId, ProbedSpace>();
  private readonly threads = new Map<ThreadId, ThreadState>();
  private readonly places = new Map<Probe, Set<Location>>();
  private readonly calls: HandlerCalls;
  private readonly engine: HitEngine;
  private nextId = 1;

  constructor(
    private readonly target: Target,
    private readonly listener: CoreListener,
    private readonly options: CoreOptions = {},
  ) {
    const memoryOf = (space: SpaceId): Memory => this.spaces.get(space)?.program ?? target.memory(space);
    this.calls = new HandlerCalls(target, memoryOf, options.timing === true, {
      disarm: (probe, why) => {
        probe.disarmedBecause = why;
        this.disarm(probe);
        this.listener.probeDisarmed(probe, why);
      },
      failed: (probe, outcome) => this.listener.handlerFailed(probe, outcome),
    });
    this.engine = new HitEngine(target, this.calls, (location, why) => {
      // Told first: afterwards the location knows its probes no more.
      this.listener.locationLost(location, why);
      this.giveUp(location);
    });
  }

  register(definition: ProbeDefinition): Probe {
    const probe = new Probe(this.nextId++, definition, this.options.counted);
    this.places.set(probe, new Set());
    return probe;
  }

  /** Disarms it for good. Its books stay readable. */
  unregister(probe: Probe): void {
    this.disarm(probe);
    this.places.delete(probe);
  }

  /**
   * Puts a registered probe on an instruction. Allowed at any time, from handlers too, and while
   * threads run there.
   *
   * @throws ProbeRefused with the reason, and nothing changed
   */
  arm(probe: Probe, space: SpaceId, address: Address, options: ArmOptions = {}): void {
    const places = this.places.get(probe);
    if (places === undefined) throw new RangeError(`${probe.definition.name}: not registered`);
    const probed = this.spaceOf(space);
    if (
      probed.locations
        .get(address)
        ?.entries.some((entry) => entry.probe === probe && entry.key === options.key) === true
    )
      return;
    places.add(armAt(probed, address, { probe, key: options.key, accepts: options.accepts }, options));
    // Whoever arms a probe that was disarmed for its cancelled hits gives it as many again.
    if (!probe.armed) probe.forgetCancelled();
    probe.armed = true;
  }

  /**
   * A hit of a probe that has no location: a system call, the begin of a process, a timer. Counted
   * and contained like any other.
   *
   * @param phase  `"none"`: only the books are kept
   * @param thread stopped; undefined where the event belongs to no thread
   * @returns whether it was counted; the end of a hit always is, so it is to be told for each begin that was
   */
  fire(
    probe: Probe,
    phase: Phase | "none",
    thread: ThreadId | undefined,
    details: EventDetails = {},
  ): boolean {
    if (!probe.armed && details.part !== "end") return false;
    this.engine.fire(probe, phase, thread, details);
    return true;
  }

  /** Takes a probe from all its locations; a hit under way ends without further handlers of it. */
  disarm(probe: Probe): void {
    probe.armed = false;
    for (const location of this.places.get(probe) ?? []) this.leave(location, probe);
    this.places.get(probe)?.clear();
  }

  /** Takes a probe from one location of its; see {@link disarm}. */
  disarmPlace(probe: Probe, space: SpaceId, address: Address): void {
    const location = this.spaces.get(space)?.locations.get(address);
    if (location === undefined || this.places.get(probe)?.delete(location) !== true) return;
    this.leave(location, probe);
  }

  /** The armed locations of a probe. */
  locationsOf(probe: Probe): ReadonlySet<Location> {
    return this.places.get(probe) ?? new Set();
  }

  /** Makes bytes that somebody read from a space be the program's own: see {@link ProgramMemory}. */
  hideBreakpoints(space: SpaceId, at: Address, bytes: Uint8Array, length = bytes.length): void {
    const probed = this.spaces.get(space);
    if (probed !== undefined) hideBreakpoints(probed.locations, at, bytes, length);
  }

  /** Text that was unmapped takes its probes with it; nothing is written. */
  forget(space: SpaceId, gone: (address: Address) => boolean): void {
    const probed = this.spaces.get(space);
    if (probed !== undefined) dropLongForgotten(probed);
    for (const [address, location] of probed?.locations ?? []) {
      if (!gone(address)) continue;
      if (location.armed && probed !== undefined) noteForgotten(probed, location);
      location.armed = false;
      for (const entry of location.entries) this.places.get(entry.probe)?.delete(location);
      location.entries = [];
      probed?.locations.delete(address);
      probed?.guard?.forget(space, address);
    }
  }

  /**
   * Deals with a stop. Breakpoints, signals and steps are answered here, and the thread resumed;
   * for every other kind the books are kept, and the caller resumes.
   *
   * @returns true where the thread was resumed (or its answer is on the way)
   */
  handle(stop: Stop): boolean {
    switch (stop.kind) {
      case "breakpoint":
        this.onBreakpoint(stop.thread, stop.at, stop.returned);
        return true;
      case "signal":
        this.engine.onSignal(
          stop.thread,
          this.threadState(stop.thread),
          this.spaces.get(this.target.spaceOf(stop.thread)),
          stop.signal,
        );
        return true;
      case "step":
        this.engine.onStep(stop.thread, this.threadState(stop.thread));
        return true;
      case "instruction-fault":
        this.engine.onRaised(stop.thread, this.threadState(stop.thread), stop.exception);
        return true;
      case "deferred":
        this.engine.onDeferred(stop.thread, this.threadState(stop.thread));
        return true;
      case "interrupted":
        this.target.resume(stop.thread, CONTINUE);
        return true;
      case "thread-start":
        this.threads.set(stop.thread, new ThreadState());
        if (stop.copyOf !== undefined) this.copySpace(stop.copyOf, stop.space);
        return false;
      case "exec":
        this.threadLeaves(stop.former, "exec");
        this.threadLeaves(stop.thread, "exec");
        this.dropEmptySpaces();
        return false;
      case "thread-exiting":
        this.lookAtTextOfLast(stop.thread);
        this.engine.onExiting(
          stop.thread,
          this.threadState(stop.thread),
          this.spaces.get(this.target.spaceOf(stop.thread)),
        );
        return false;
      case "thread-gone":
        this.threadLeaves(stop.thread, "end");
        this.dropEmptySpaces();
        return false;
      case "system-call":
        return false;
      default:
        return assertNever(stop);
    }
  }

  /** Puts every byte of a space back. For detaching: see leaving.ts. */
  restoreText(space: ProbedSpace): void {
    this.giveUpChanged(space, changedLocations(space));
    for (const location of space.locations.values()) disarmAt(space, location);
  }

  /**
   * A stop that came while the text is restored already: the thread stays where it is, set to
   * where it would be without us. Its signal, if it has one, stays pending.
   */
  noteWhileLeaving(stop: Stop): void {
    if (stop.kind === "breakpoint") {
      const space = this.spaces.get(this.target.spaceOf(stop.thread));
      // In a slot the thread is led out later; where a breakpoint of ours was it goes back to it.
      if (space !== undefined && space.slots.at(stop.at) === undefined && !isProgramsOwn(space, stop.at)) {
        this.target.registers(stop.thread).pc = stop.at;
      }
    } else if (stop.kind === "thread-start" || stop.kind === "thread-gone") this.handle(stop);
  }

  /** Moves a stopped thread from a slot to where it would be without us. */
  leadOut(thread: ThreadId): void {
    const space = this.spaces.get(this.target.spaceOf(thread));
    if (space !== undefined) this.engine.leadOut(thread, this.threadState(thread), space);
  }

  probedSpaces(): Iterable<ProbedSpace> {
    return this.spaces.values();
  }

  private onBreakpoint(thread: ThreadId, at: Address, returned: number): void {
    const space = this.spaces.get(this.target.spaceOf(thread));
    const state = this.threadState(thread);
    const location = space?.locations.get(at);
    if (space !== undefined && location?.armed === true) {
      this.engine.onArrival(thread, state, space, location, returned);
      return;
    }
    const slot = space?.slots.at(at);
    if (space !== undefined && slot !== undefined) {
      this.engine.onSlotTrap(thread, state, space, slot);
      return;
    }
    this.engine.onStrayTrap(thread, at, space ?? this.spaceOf(this.target.spaceOf(thread)));
  }

  private leave(location: Location, probe: Probe): void {
    location.entries = location.entries.filter((entry) => entry.probe !== probe);
    const space = this.spaces.get(location.space);
    if (location.entries.length === 0 && space !== undefined && !disarmAt(space, location))
      this.tellChanged([location], [probe]);
  }

  /** What a program did to its text while nobody looked is told with its end. Its children have said nothing of their own. */
  private lookAtTextOfLast(thread: ThreadId): void {
    const space = this.spaces.get(this.target.spaceOf(thread));
    if (space === undefined || space.isCopy) return;
    for (const other of this.target.threadsOf(space.id)) if (other !== thread) return;
    this.giveUpChanged(space, changedLocations(space));
  }

  private giveUpChanged(space: ProbedSpace, changed: readonly Location[]): void {
    const probes = new Set<Probe>();
    for (const location of changed) {
      for (const { probe } of location.entries) {
        probes.add(probe);
        this.places.get(probe)?.delete(location);
      }
      location.armed = false;
      location.entries = [];
      space.locations.delete(location.address);
      space.guard?.forget(space.id, location.address);
    }
    this.tellChanged(changed, [...probes]);
  }

  private tellChanged(locations: readonly Location[], probes: readonly Probe[]): void {
    const why = sayChanged(locations, probes);
    if (why !== undefined) this.listener.textChanged?.(why, probes);
  }

  private giveUp(location: Location): void {
    for (const entry of location.entries) this.places.get(entry.probe)?.delete(location);
    location.entries = [];
    const space = this.spaces.get(location.space);
    if (space !== undefined) disarmAt(space, location);
  }

  private spaceOf(id: SpaceId): ProbedSpace {
    let space = this.spaces.get(id);
    if (space === undefined) {
      const { guard, hasShadowStacks, breakpoints, hidesFaults } = this.target.capabilities;
      guard?.begin(id);
      const memory = this.target.memory(id);
      space = new ProbedSpace(id, memory, guard, false, hasShadowStacks, breakpoints, hidesFaults);
      this.spaces.set(id, space);
    }
    return space;
  }

  /** After fork: the child's text is a copy, with our breakpoints in it. */
  private copySpace(from: SpaceId, to: SpaceId): void {
    const original = this.spaces.get(from);
    if (original === undefined) return;
    const copy = original.copy(to, this.target.memory(to));
    this.spaces.set(to, copy);
    agreeWithMemory(copy, original.forgotten);
    for (const location of copy.locations.values()) {
      for (const entry of location.entries) this.places.get(entry.probe)?.add(location);
    }
  }

  private threadState(thread: ThreadId): ThreadState {
    let state = this.threads.get(thread);
    if (state === undefined) {
      state = new ThreadState();
      this.threads.set(thread, state);
    }
    return state;
  }

  private threadLeaves(thread: ThreadId, by: "exec" | "end"): void {
    const state = this.threads.get(thread);
    if (state === undefined) return;
    this.engine.onGone(state, by);
    this.threads.delete(thread);
  }

  private dropEmptySpaces(): void {
    for (const [id, space] of this.spaces) {
      if (!isEmpty(this.target.threadsOf(id))) continue;
      for (const location of space.locations.values()) {
        for (const entry of location.entries) this.places.get(entry.probe)?.delete(location);
      }
      this.spaces.delete(id);
    }
  }
}

function isEmpty(items: Iterable<unknown>): boolean {
  for (const item of items) return item === undefined;
  return true;
}
