import { RegisterFile } from "../../../arch/x86_64/registers.js";
import { TargetGone } from "../../../base/errors.js";
import type { SignalInfo, SpaceId, ThreadId } from "../../target.js";
import type { ReturnWatches } from "../../return-watch.js";
import type { GdbClient } from "../protocol/client.js";
import { STUB_SIGNAL } from "../protocol/signals.js";
import type { StubThread } from "../protocol/thread-ids.js";

/** A thread of a program behind a stub. */
export class ProgramThread {
  readonly registers = new RegisterFile();
  /** Registers are those of this stop. */
  fetched = false;
  /** `held`: it stands still without anybody knowing, and goes on at the next wait. */
  state: "running" | "stopped" | "held" = "held";
  /** GDB's number of the signal that it stopped with; 0 for none. */
  stubSignal = 0;
  /** It stopped at an `int3`; the stub's program counter is at it, the core's behind. */
  atBreakpoint = false;
  stepping = false;
  interruptAsked = false;
  /** A signal that came while the thread did something for us: told when the thread would go on. */
  deferred: SignalInfo | undefined;
  deferredStub = 0;
  watches: ReturnWatches | undefined;

  constructor(
    readonly id: ThreadId,
    readonly stub: StubThread,
    readonly process: number,
    readonly space: SpaceId,
  ) {}
}

/** The threads and address spaces that are known. */
export class ProgramThreads {
  private readonly byId = new Map<ThreadId, ProgramThread>();
  private readonly byStub = new Map<StubThread, ProgramThread>();
  private nextSpace = 1;

  /** @param space undefined: one of its own */
  add(stub: StubThread, space: SpaceId | undefined): ProgramThread {
    const id = stub.thread as ThreadId; // Linux has one space of numbers for the threads of all processes
    const thread = new ProgramThread(
      id,
      stub,
      stub.process ?? stub.thread,
      space ?? (this.nextSpace++ as SpaceId),
    );
    this.byId.set(id, thread);
    this.byStub.set(stub, thread);
    return thread;
  }

  remove(thread: ProgramThread): void {
    this.byId.delete(thread.id);
    this.byStub.delete(thread.stub);
  }

  find(stub: StubThread): ProgramThread | undefined {
    return this.byStub.get(stub);
  }

  /** @throws TargetGone it has ended */
  get(id: ThreadId): ProgramThread {
    const thread = this.byId.get(id);
    if (thread === undefined) throw new TargetGone(`thread ${String(id)} is gone`);
    return thread;
  }

  /** @returns undefined where it is not known, or has ended */
  known(id: ThreadId): ProgramThread | undefined {
    return this.byId.get(id);
  }

  spaces(): ReadonlySet<SpaceId> {
    return new Set([...this.byId.values()].map((thread) => thread.space));
  }

  ids(): ThreadId[] {
    return [...this.byId.keys()];
  }

  all(): Iterable<ProgramThread> {
    return this.byId.values();
  }

  ofSpace(space: SpaceId): ProgramThread[] {
    return [...this.byId.values()].filter((thread) => thread.space === space);
  }

  ofProcess(process: number): ProgramThread[] {
    return [...this.byId.values()].filter((thread) => thread.process === process);
  }

  /** The space of a process; undefined where it has no thread. */
  spaceOf(process: number): SpaceId | undefined {
    return this.ofProcess(process)[0]?.space;
  }
}

/** The threads that stand, and GDB's number of the signal that each has stopped for; 0 where it is another reason. */
export function standingThreads(client: GdbClient): ReadonlyMap<StubThread, number> {
  const standing = new Map<StubThread, number>();
  for (let stop = client.stopReason(); stop !== undefined; stop = client.waitStop(0))
    if (stop.kind === "stopped" && stop.thread !== undefined)
      standing.set(stop.thread, stop.reason === undefined ? stop.signal : STUB_SIGNAL.none);
  return standing;
}

/** Lets a thread go on. What its registers are to be must have been written. @param signal GDB's number of one to deliver */
export function setGoing(
  client: GdbClient,
  thread: ProgramThread,
  how: "continue" | "step",
  signal?: number,
): void {
  thread.state = "running";
  thread.fetched = false;
  thread.atBreakpoint = false;
  client.resume([{ thread: thread.stub, how, signal }]);
}
