import { TargetError, TargetGone } from "../../../base/errors.js";
import { unlessGone } from "../../../base/gone.js";
import type { RegisterFile } from "../../../arch/x86_64/registers.js";
import { dispositionIn } from "../../disposition.js";
import type {
  Capabilities,
  Disposition,
  Mapping,
  Memory,
  Resume,
  SignalInfo,
  SpaceId,
  Stop,
  Target,
  ThreadFacts,
  ThreadId,
} from "../../target.js";
import { type ClientOptions, GdbClient } from "../protocol/client.js";
import { StubError } from "../protocol/errors.js";
import { STUB_SIGNAL } from "../protocol/signals.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { StubThread } from "../protocol/thread-ids.js";
import { StubBreakpoints } from "./breakpoints.js";
import { CaughtCalls } from "./calls.js";
import { mapNear, type Stepper, unmap } from "./injected-call.js";
import { Journal } from "./journal.js";
import type { StubMemory } from "./memory.js";
import { LazyFacts, ProcessFiles } from "./process-files.js";
import { ThreadRegisters } from "./thread-registers.js";
import { changeFaultAddress } from "./siginfo.js";
import { ProgramSpaces } from "./spaces.js";
import { ProgramStops } from "./stops.js";
import { type ProgramThread, ProgramThreads, setGoing, standingThreads } from "./threads.js";

export interface ProgramOptions extends ClientOptions {
  /** Looked at now and then while a stop is waited for: true makes the wait return. */
  readonly woken?: () => boolean;
}

/** How often {@link ProgramOptions.woken} is looked at, milliseconds. */
const LOOK_MS = 20;
/** A step of one instruction takes no longer, however busy the machine; milliseconds. */
const STEP_MS = 10_000;

type Stopped = Extract<StopReply, { kind: "stopped" }>;

/** Whether what is behind a stub is a program of a Linux system: gdbserver, not the stub of a machine. */
export function isProgram(client: GdbClient): boolean {
  return client.hasObject("auxv") && client.hasObject("siginfo");
}

/** What a connection to a program's stub must ask for. */
export const PROGRAM_STUB: ClientOptions = { nonStop: true, events: true };

/**
 * A Linux program behind gdbserver, its threads, and the processes that it starts, in non-stop mode: each
 * thread stops by itself, as a process target's do. Breakpoints are the stub's own; the copies of displaced
 * instructions are in memory that the program is made to map.
 */
export class ProgramTarget implements Target, Stepper {
  readonly capabilities: Capabilities;
  private readonly threadBook = new ProgramThreads();
  private readonly spaces: ProgramSpaces;
  private readonly files: ProcessFiles;
  private readonly values: ThreadRegisters;
  private readonly breakpoints: StubBreakpoints;
  private readonly journal: Journal;
  private readonly stops: ProgramStops;
  /** What the stub told while something else was waited for. */
  private readonly replies: StopReply[] = [];
  /** The stub started the program, which stands before its first instruction; else it runs on at the first wait. */
  readonly isHeld: boolean;
  private readonly calls: CaughtCalls;
  private isLeft = false;

  /** @param client connected with {@link PROGRAM_STUB}; from here on the target's own */
  constructor(
    private readonly client: GdbClient,
    private readonly options: ProgramOptions = {},
  ) {
    if (!client.isNonStop)
      throw new TargetError(
        `${client.name}: the stub has no non-stop mode, in which single threads can be stopped`,
        { remedy: "Use gdbserver." },
      );
    this.files = new ProcessFiles(client);
    this.values = new ThreadRegisters(client);
    this.calls = new CaughtCalls(client, this.values);
    this.spaces = new ProgramSpaces(client, this.threadBook, this.files, this.values);
    this.journal = new Journal(client);
    this.breakpoints = new StubBreakpoints(client, this.spaces, this.journal);
    this.stops = new ProgramStops({
      client,
      threads: this.threadBook,
      spaces: this.spaces,
      values: this.values,
      breakpoints: this.breakpoints,
      calls: this.calls,
    });
    const standing = standingThreads(client);
    const threads = client.threads();
    if (threads.length === 0)
      throw new TargetError(`${client.name}: the stub has no program`, {
        remedy: "Start gdbserver with a program, or with --attach and a process.",
      });
    for (const stub of threads) {
      const thread = this.threadBook.add(stub, this.threadBook.spaceOf(stub.process ?? stub.thread));
      // Where a tracer was here before, some may run.
      if (!standing.has(stub)) thread.state = "running";
    }
    this.takeOutLeft(standing);
    this.isHeld =
      client.query(`qAttached:${[...this.threadBook.all()][0]?.process.toString(16) ?? ""}`) === "0";
    // Where it still stands, nobody has set it going.
    this.isHeld &&= [...this.threadBook.all()].every((thread) => thread.state === "held");
    if (this.isHeld) for (const thread of this.threadBook.all()) thread.state = "stopped";
    client.threadEvents(true);
    this.capabilities = {
      stepsAlone: true,
      endsUnseen: true,
      mapNear: (thread, near, length) => mapNear(this, this.stopped(thread), near, length),
      unmap: (thread, at, length) => {
        this.breakpoints.removeWithin(this.spaceOf(thread), at, length);
        unmap(this, this.stopped(thread), at, length);
      },
      breakpoints: this.breakpoints,
      mappedFile: (space, mapping) => this.spaces.mappedFile(space, mapping),
    };
  }

  /** @throws TargetError nobody is there, or no program @throws UsageError the address is none */
  static connect(where: string, options: ProgramOptions = {}): ProgramTarget {
    const client = GdbClient.connect(where, { ...options, ...PROGRAM_STUB });
    try {
      return new ProgramTarget(client, options);
    } catch (error) {
      client[Symbol.dispose]();
      throw error;
    }
  }

  threads(): Iterable<ThreadId> {
    return this.threadBook.ids();
  }

  spaceOf(thread: ThreadId): SpaceId {
    return this.threadBook.get(thread).space;
  }

  threadsOf(space: SpaceId): Iterable<ThreadId> {
    return this.threadBook.ofSpace(space).map(({ id }) => id);
  }

  isStopped(thread: ThreadId): boolean {
    return this.threadBook.get(thread).state === "stopped";
  }

  isRunnable(thread: ThreadId): boolean {
    return unlessGone(() => this.files.stat(thread)[0] === "R") === true;
  }

  wait(until: number): Stop | undefined {
    this.letHeldGo();
    for (;;) {
      const stop = this.stops.take() ?? this.next(until);
      if (stop === "again") continue;
      return stop;
    }
  }

  resume(id: ThreadId, how: Resume): void {
    const thread = this.stopped(id);
    if (how.kind !== "deliver" && this.tellDeferred(thread)) return;
    const signal = how.kind === "deliver" ? this.prepareDelivery(thread, how) : undefined;
    this.values.flush(thread);
    thread.stepping = how.kind === "step";
    setGoing(this.client, thread, thread.stepping ? "step" : "continue", signal);
  }

  interrupt(id: ThreadId): void {
    const thread = this.threadBook.get(id);
    if (thread.state === "held") {
      // It stands already.
      thread.state = "stopped";
      if (!this.tellDeferred(thread)) this.stops.put({ kind: "interrupted", thread: id });
      return;
    }
    if (thread.state === "stopped" || thread.interruptAsked) return;
    thread.interruptAsked = true;
    this.client.stop(thread.stub);
  }

  registers(id: ThreadId): RegisterFile {
    const thread = this.stopped(id);
    this.values.fetch(thread);
    return thread.registers;
  }

  memory(space: SpaceId): Memory {
    return this.spaces.memory(space);
  }

  mappings(space: SpaceId): readonly Mapping[] {
    return this.spaces.memory(space).mappings();
  }

  facts(id: ThreadId): ThreadFacts {
    const { process } = this.threadBook.get(id);
    return new LazyFacts(this.files, id, process);
  }

  disposition(id: ThreadId, signal: SignalInfo): Disposition {
    this.threadBook.get(id);
    return dispositionIn(this.files.status(id), signal.number);
  }

  traceSystemCalls(on: boolean): void {
    this.calls.trace(on);
  }

  /** Lets the program go, and closes the connection: it runs on. Breakpoints must have been taken out before. */
  [Symbol.asyncDispose](): Promise<void> {
    if (this.isLeft) return Promise.resolve();
    this.isLeft = true;
    try {
      if (this.client.broken === undefined) this.letGo();
    } finally {
      this.client[Symbol.dispose]();
    }
    return Promise.resolve();
  }

  // What an injected call needs

  memoryOf(thread: ProgramThread): StubMemory {
    return this.spaces.memory(thread.space);
  }

  isFiltered(thread: ProgramThread): boolean {
    return (this.files.status(thread.id).get("Seccomp") ?? "0") !== "0";
  }

  stepOver(thread: ProgramThread, before: Uint8Array): void {
    this.journal.used(thread, before);
    const until = performance.now() + STEP_MS;
    const from = thread.registers.pc;
    for (;;) {
      this.values.flush(thread);
      setGoing(this.client, thread, "step");
      const reply = this.replyOf(thread, until);
      thread.state = "stopped";
      this.values.fetch(thread);
      if (reply.signal === STUB_SIGNAL.trap || thread.registers.pc !== from) return;
      // A signal came first: it waits until the thread goes on, and the call is tried again.
      if (reply.signal !== STUB_SIGNAL.none && thread.deferred === undefined) {
        this.defer(thread, reply.signal);
        this.journal.used(thread, before);
      }
    }
  }

  putBack(thread: ProgramThread): void {
    this.values.flush(thread);
    this.journal.unused(thread.id);
  }

  // Stops

  private next(until: number): Stop | "again" | undefined {
    const now = performance.now();
    if (this.options.woken?.() === true) return undefined;
    if (this.threadBook.ids().length === 0 && this.replies.length === 0) {
      // Nobody is left to stop; the stub may be gone, too.
      if (until === Infinity) return undefined;
      Atomics.wait(
        new Int32Array(new SharedArrayBuffer(4)),
        0,
        0,
        Math.min(LOOK_MS, Math.max(0, until - now)),
      );
      return performance.now() >= until ? undefined : "again";
    }
    const look = this.options.woken === undefined ? until : Math.min(until, now + LOOK_MS);
    const reply = this.replies.shift() ?? this.client.waitStop(look);
    if (reply === undefined) return performance.now() >= until ? undefined : "again";
    return this.stops.translate(reply) ?? "again";
  }

  /**
   * What a tracer before us has left that was killed: breakpoints, threads that it made do something, and
   * signals that it was told of and nobody received. Then the program could be let go at once.
   */
  private takeOutLeft(standing: ReadonlyMap<StubThread, number>): void {
    const { journal } = this;
    this.breakpoints.removeLeft(this.threadBook.spaces());
    for (const { thread: id, registers, signal } of journal.interrupted) {
      const thread = this.threadBook.known(id);
      if (thread === undefined) continue;
      // It was being stepped: that is over soon.
      if (thread.state === "running") this.replyOf(thread, performance.now() + STEP_MS);
      thread.state = "held";
      this.values.fetch(thread);
      thread.registers.bytes.set(registers.subarray(0, thread.registers.bytes.length));
      thread.registers.dirty = true;
      this.putBack(thread);
      if (signal !== STUB_SIGNAL.none) this.defer(thread, signal);
    }
    // Where nobody was before, a stop is what being started or attached to does to a program.
    if (journal.left.size === 0) return;
    this.calls.forgetLeft();
    for (const [stub, signal] of standing) {
      const thread = this.threadBook.find(stub);
      if (thread === undefined || thread.deferred !== undefined || signal === STUB_SIGNAL.none) continue;
      // A trap is the end of a step, but where somebody has sent it.
      if (signal !== STUB_SIGNAL.trap || this.stops.signalOf(thread, signal).code <= 0)
        this.defer(thread, signal);
    }
  }

  /** A signal is told, and delivered, when the thread would go on. */
  private defer(thread: ProgramThread, signal: number): void {
    thread.deferred = this.stops.signalOf(thread, signal);
    thread.deferredStub = signal;
  }

  /** The next stop of one thread; what the others do meanwhile is kept. */
  private replyOf(thread: ProgramThread, until: number): Stopped {
    for (;;) {
      const reply = this.client.waitStop(until);
      if (reply === undefined)
        throw new TargetError(
          `${this.client.name}: thread ${thread.id} does not finish a single instruction`,
        );
      if (reply.kind === "stopped" && reply.thread === thread.stub) {
        thread.fetched = false;
        return reply;
      }
      this.replies.push(reply);
      const isEnd = reply.kind === "exited" || reply.kind === "killed";
      if (isEnd && (reply.process === undefined || reply.process === thread.process))
        throw new TargetGone(`thread ${thread.id} is gone`);
    }
  }

  // Registers

  private stopped(id: ThreadId): ProgramThread {
    const thread = this.threadBook.get(id);
    if (thread.state === "running") throw new TargetError(`thread ${id} is running`);
    return thread;
  }

  // Going on

  private letHeldGo(): void {
    for (const thread of this.threadBook.all()) {
      if (thread.state !== "held") continue;
      thread.state = "stopped";
      if (!this.tellDeferred(thread)) setGoing(this.client, thread, "continue");
    }
  }

  /** A thread would go on: first it is told of the signal that came while it did something for us. */
  private tellDeferred(thread: ProgramThread): boolean {
    const { deferred } = thread;
    if (deferred === undefined) return false;
    thread.stubSignal = thread.deferredStub;
    thread.deferred = undefined;
    thread.deferredStub = STUB_SIGNAL.none;
    thread.atBreakpoint = false;
    this.stops.put({ kind: "signal", thread: thread.id, signal: deferred });
    return true;
  }

  /** @returns GDB's number of the signal to go on with */
  private prepareDelivery(
    thread: ProgramThread,
    { address, watch }: Extract<Resume, { kind: "deliver" }>,
  ): number {
    if (address !== undefined) {
      this.values.select(thread);
      changeFaultAddress(this.client, address);
    }
    if (watch !== undefined && watch !== 0) this.calls.watch(thread, watch);
    return thread.atBreakpoint ? STUB_SIGNAL.trap : thread.stubSignal;
  }

  private letGo(): void {
    const processes = new Set<number>();
    for (const thread of this.threadBook.all()) {
      processes.add(thread.process);
      unlessGone(() => {
        if (thread.state !== "running") this.values.flush(thread);
        // The stub knows no more of it, as it would of one that it told last.
        if (thread.deferred !== undefined) setGoing(this.client, thread, "continue", thread.deferredStub);
      });
    }
    this.breakpoints.removeAll(this.threadBook.spaces());
    for (const process of processes) {
      try {
        this.client.detach(process);
      } catch (error) {
        // It has ended meanwhile, and the stub perhaps with it.
        if (!(error instanceof StubError)) throw error;
      }
    }
  }
}
