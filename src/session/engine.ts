import type { CoreListener, CoreOptions } from "../probes/core.js";
import { ProbeCore } from "../probes/core.js";
import { leave } from "../probes/leaving.js";
import { unlessGone } from "../base/gone.js";
import {
  CONTINUE,
  type ExitStatus,
  type SpaceId,
  type Stop,
  type Target,
  type ThreadId,
} from "../targets/target.js";
import type { Images, Tracee } from "./images.js";
import { Timers } from "./timers.js";

/** Stops that are dealt with before the caller of {@link Engine.step} has its turn. */
const IN_A_ROW = 32;

/** What happens in a target beside hits. Threads are stopped while their event is told. */
export interface EngineListener extends CoreListener {
  readonly processBegins?: (thread: ThreadId, space: SpaceId) => void;
  readonly processEnds?: (thread: ThreadId, space: SpaceId) => void;
  readonly processGone?: (thread: ThreadId, status: ExitStatus) => void;
  readonly threadBegins?: (thread: ThreadId) => void;
  readonly threadEnds?: (thread: ThreadId) => void;
  readonly threadCopied?: (parent: ThreadId, child: ThreadId, space: SpaceId) => void;
  readonly threadGone?: (thread: ThreadId) => void;
  readonly systemCall?: (thread: ThreadId, phase: "entry" | "exit", number: number) => void;
  /** Code (programs, libraries, modules) came or went in a space. */
  readonly imagesChanged?: (space: SpaceId) => void;
  /** A program is ready to run: what its IFUNCs selected can be read. */
  readonly imagesRelocated?: (space: SpaceId) => void;
}

/**
 * A target being traced: its stops go to the probe core, its comings and goings to the session.
 * Lives in one thread, which waits nowhere but in {@link step}.
 */
export class Engine {
  readonly core: ProbeCore;
  readonly target: Target;
  readonly images: Images;
  readonly timers = new Timers();
  /** The threads that live, and the process that each belongs to. */
  private readonly live = new Map<ThreadId, number>();

  constructor(
    tracee: Tracee,
    private readonly listener: EngineListener,
    options: CoreOptions = {},
  ) {
    this.target = tracee.target;
    this.core = new ProbeCore(this.target, listener, options);
    this.images = tracee.images(this.core, {
      changed: (space) => {
        listener.imagesChanged?.(space);
      },
      relocated: (space) => {
        listener.imagesRelocated?.(space);
      },
    });
  }

  /** Takes in the processes that are there at the beginning, stopped or running. */
  begin(): void {
    const spaces = new Set<SpaceId>();
    for (const thread of this.target.threads()) {
      this.live.set(thread, this.target.facts(thread).process);
      spaces.add(this.target.spaceOf(thread));
    }
    for (const space of spaces) this.images.refresh(space);
  }

  /** Any thread left to wait for? */
  get alive(): boolean {
    return this.live.size > 0;
  }

  /**
   * Waits for stops until a time (or the next timer), and deals with them: with a few in a row, so
   * that what the caller does between its calls costs a hit nothing.
   *
   * @param enough looked at after each
   */
  step(until: number, enough: () => boolean): void {
    const due = this.timers.next();
    const wait = Math.min(until, due);
    for (let dealt = 0; dealt < IN_A_ROW && this.live.size > 0 && !enough(); dealt++) {
      const stop = this.target.wait(wait);
      if (stop === undefined) break;
      this.deal(stop);
    }
    if (due < Infinity && performance.now() >= due) this.timers.run(performance.now());
  }

  /** Leaves the target as it would be without us. */
  async leave(): Promise<void> {
    try {
      for (const space of this.images.allSpaces()) unlessGone(() => this.images.forgetReplaced(space));
      leave(this.core, this.target, (stop) => {
        if (stop.kind === "thread-gone") this.onGone(stop);
      });
    } finally {
      await this.target[Symbol.asyncDispose]();
    }
  }

  private deal(stop: Stop): void {
    if (unlessGone(() => this.core.handle(stop)) === true) return;
    // Two steps: whatever goes wrong in the telling, because some other thread has died, this one goes on.
    unlessGone(() => {
      this.tell(stop);
    });
    if (goesOn(stop)) {
      unlessGone(() => {
        if (this.target.isStopped(stop.thread)) this.target.resume(stop.thread, CONTINUE);
      });
    }
  }

  private tell(stop: Stop): void {
    switch (stop.kind) {
      case "thread-start":
        this.live.set(
          stop.thread,
          stop.newProcess ? stop.thread : (this.live.get(stop.parent) ?? stop.thread),
        );
        if (stop.copyOf !== undefined) {
          this.images.copy(stop.copyOf, stop.space);
          this.listener.threadCopied?.(stop.parent, stop.thread, stop.space);
          this.images.settleCopy(stop.copyOf, stop.space);
        }
        if (stop.newProcess) this.listener.processBegins?.(stop.thread, stop.space);
        this.listener.threadBegins?.(stop.thread);
        return;
      case "exec":
        this.live.delete(stop.former);
        this.live.set(stop.thread, stop.thread);
        this.images.refresh(stop.space);
        this.listener.processBegins?.(stop.thread, stop.space);
        return;
      case "thread-exiting":
        this.listener.threadEnds?.(stop.thread);
        if (this.isLast(stop.thread))
          this.listener.processEnds?.(stop.thread, this.target.spaceOf(stop.thread));
        return;
      case "thread-gone":
        this.onGone(stop);
        return;
      case "system-call":
        this.listener.systemCall?.(stop.thread, stop.phase, stop.number);
        return;
      case "breakpoint":
      case "signal":
      case "step":
      case "instruction-fault":
      case "deferred":
      case "interrupted":
        return;
    }
  }

  private onGone(stop: Extract<Stop, { kind: "thread-gone" }>): void {
    this.live.delete(stop.thread);
    this.listener.threadGone?.(stop.thread);
    this.images.dropIfEmpty(stop.space);
    if (stop.processExit !== undefined) this.listener.processGone?.(stop.thread, stop.processExit);
  }

  private isLast(thread: ThreadId): boolean {
    const process = this.live.get(thread);
    for (const [other, its] of this.live) if (other !== thread && its === process) return false;
    return true;
  }
}

/** Is it ours to set the thread going? The core does it after hits, signals and steps. */
function goesOn(stop: Stop): boolean {
  switch (stop.kind) {
    case "thread-start":
    case "exec":
    case "thread-exiting":
    case "system-call":
      return true;
    case "thread-gone":
    case "breakpoint":
    case "signal":
    case "step":
    case "instruction-fault":
    case "deferred":
    case "interrupted":
      return false;
  }
}
