import type { Address } from "../../../base/address.js";
import { TargetError, TargetGone } from "../../../base/errors.js";
import { unlessGone } from "../../../base/gone.js";
import type { RegisterFile } from "../../../arch/x86_64/registers.js";
import { dispositionIn } from "../../disposition.js";
import { signalName } from "../../signals.js";
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
import { linuxSignal, STUB_SIGNAL } from "../protocol/signals.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { StubThread } from "../protocol/thread-ids.js";
import { StubBreakpoints } from "./breakpoints.js";
import { CaughtCalls } from "./calls.js";
import { Exits } from "./exits.js";
import { mapNear, type Stepper, unmap } from "./injected-call.js";
import { StubMemory } from "./memory.js";
import { LazyFacts, ProcessFiles } from "./process-files.js";
import { ThreadRegisters } from "./thread-registers.js";
import { changeFaultAddress, readSignal } from "./siginfo.js";
import { type ProgramThread, ProgramThreads, standingThreads } from "./threads.js";

export interface ProgramOptions extends ClientOptions {
  /** Looked at now and then while a stop is waited for: true makes the wait return. */
  readonly woken?: () => boolean;
}

/** How often {@link ProgramOptions.woken} is looked at, milliseconds. */
const LOOK_MS = 20;
const INT3 = 0xcc;
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
  private readonly memories = new Map<SpaceId, StubMemory>();
  private readonly files: ProcessFiles;
  private readonly values: ThreadRegisters;
  private readonly breakpoints: StubBreakpoints;
  private readonly exits = new Exits((space) => this.memoryIn(space));
  /** Stops that came while something else was waited for, and ends of several threads at once. */
  private readonly ready: Stop[] = [];
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
    const standing = standingThreads(client);
    const threads = client.threads();
    if (threads.length === 0)
      throw new TargetError(`${client.name}: the stub has no program`, {
        remedy: "Start gdbserver with a program, or with --attach and a process.",
      });
    this.breakpoints = new StubBreakpoints(
      client,
      (space) => this.memoryIn(space),
      (space) => {
        this.selectIn(space);
      },
    );
    for (const stub of threads) {
      const thread = this.threadBook.add(stub, this.threadBook.spaceOf(stub.process ?? stub.thread));
      // Where a tracer was here before, some may run.
      if (!standing.has(stub)) thread.state = "running";
    }
    for (const space of new Set([...this.threadBook.all()].map((thread) => thread.space)))
      this.exits.findLeft(this.memoryIn(space));
    for (const thread of this.threadBook.all()) if (thread.state === "held") this.leadOut(thread);
    this.isHeld =
      client.query(`qAttached:${[...this.threadBook.all()][0]?.process.toString(16) ?? ""}`) === "0";
    // Where it still stands, nobody has set it going.
    this.isHeld &&= [...this.threadBook.all()].every((thread) => thread.state === "held");
    if (this.isHeld) for (const thread of this.threadBook.all()) thread.state = "stopped";
    client.threadEvents(true);
    this.capabilities = {
      stepsAlone: true,
      mapNear: (thread, near, length) => mapNear(this, this.stopped(thread), near, length),
      unmap: (thread, at, length) => {
        unmap(this, this.stopped(thread), at, length);
      },
      breakpoints: this.breakpoints,
      guard: this.exits,
      mappedFile: (space, mapping) => this.mappedFile(space, mapping),
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
      const stop = this.ready.shift() ?? this.next(until);
      if (stop === "again") continue;
      return stop;
    }
  }

  resume(id: ThreadId, how: Resume): void {
    const thread = this.stopped(id);
    const { deferred } = thread;
    if (deferred !== undefined && how.kind !== "deliver") {
      // It goes on with the signal that came while it did something for us.
      thread.deferred = undefined;
      thread.stubSignal = thread.deferredStub;
      thread.atBreakpoint = false;
      this.ready.push({ kind: "signal", thread: id, signal: deferred });
      return;
    }
    const signal = how.kind === "deliver" ? this.prepareDelivery(thread, how) : undefined;
    this.values.flush(thread);
    thread.stepping = how.kind === "step";
    this.go(thread, thread.stepping ? "step" : "continue", signal);
  }

  interrupt(id: ThreadId): void {
    const thread = this.threadBook.get(id);
    if (thread.state === "held") {
      // It stands already.
      thread.state = "stopped";
      this.ready.push({ kind: "interrupted", thread: id });
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
    return this.memoryIn(space);
  }

  mappings(space: SpaceId): readonly Mapping[] {
    return this.memoryIn(space).mappings();
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
    return this.memoryIn(thread.space);
  }

  isFiltered(thread: ProgramThread): boolean {
    return (this.files.status(thread.id).get("Seccomp") ?? "0") !== "0";
  }

  stepOver(thread: ProgramThread): void {
    const until = performance.now() + STEP_MS;
    const from = thread.registers.pc;
    for (;;) {
      this.values.flush(thread);
      this.go(thread, "step");
      const reply = this.replyOf(thread, until);
      thread.state = "stopped";
      this.values.fetch(thread);
      if (reply.signal === STUB_SIGNAL.trap || thread.registers.pc !== from) return;
      // A signal came first: it waits until the thread goes on, and the call is tried again.
      if (reply.signal !== STUB_SIGNAL.none && thread.deferred === undefined) {
        thread.deferred = this.signalOf(thread, reply.signal);
        thread.deferredStub = reply.signal;
      }
    }
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
    return this.translate(reply) ?? "again";
  }

  private translate(reply: StopReply): Stop | undefined {
    switch (reply.kind) {
      case "exited":
        return this.processEnded(reply.process, { kind: "exited", status: reply.status });
      case "killed": {
        const number = linuxSignal(reply.signal) ?? reply.signal;
        const signal = signalName(number);
        return this.processEnded(reply.process, { kind: "killed", signal, number, coreDumped: false });
      }
      case "thread-exited": {
        const thread = this.threadBook.find(reply.thread);
        if (thread === undefined) return undefined;
        this.drop(thread);
        return { kind: "thread-gone", thread: thread.id, space: thread.space, processExit: undefined };
      }
      case "no-resumed":
        return undefined;
      case "stopped":
        return this.threadStopped(reply);
    }
  }

  private threadStopped(reply: Stopped): Stop | undefined {
    if (reply.thread === undefined)
      throw new TargetError(`${this.client.name}: the stub told a stop without a thread`);
    const thread = this.threadBook.find(reply.thread) ?? this.discover(reply.thread);
    thread.state = "stopped";
    thread.fetched = false;
    thread.registers.dirty = false;
    thread.stubSignal = reply.signal;
    thread.atBreakpoint = false;
    const { stepping } = thread;
    thread.stepping = false;
    const { reason } = reply;
    switch (reason?.kind) {
      case "swbreak":
      case "hwbreak":
        return this.atBreakpoint(thread, reply);
      case "create":
        return this.begins(thread, thread.space, undefined, this.mainOf(thread), false);
      case "fork":
        return this.forked(thread, reason.child, undefined);
      case "vfork":
        return this.forked(thread, reason.child, thread.space);
      case "exec":
        return this.executed(thread);
      case "syscall_entry":
        return this.atCall(thread, "entry", reason.number);
      case "syscall_return":
        return this.atCall(thread, "exit", reason.number);
      case "vforkdone":
      case "library":
        this.go(thread, "continue");
        return undefined;
      case "watch":
      case "rwatch":
      case "awatch":
      case undefined:
        return this.signalled(thread, reply.signal, stepping);
    }
  }

  private atBreakpoint(thread: ProgramThread, reply: Stopped): Stop | undefined {
    const at = this.values.programCounter(thread, reply);
    if (this.isOfOthers(thread, at)) {
      if (thread.interruptAsked) {
        thread.interruptAsked = false;
        return { kind: "interrupted", thread: thread.id };
      }
      this.values.flush(thread);
      this.go(thread, "continue");
      return undefined;
    }
    thread.atBreakpoint = true;
    thread.interruptAsked = false;
    const returned = this.calls.arrived(thread, at, this.values.stackPointer(thread, reply));
    return { kind: "breakpoint", thread: thread.id, at, returned };
  }

  /** A thread that stands at a stop of a tracer that was killed goes on from there, also where we leave at once. */
  private leadOut(thread: ProgramThread): void {
    if (this.exits.isEmpty) return;
    this.values.fetch(thread);
    if (this.exits.leave(thread, thread.registers.pc, this.memoryIn(thread.space))) this.values.flush(thread);
  }

  /** Left behind by a tracer that was killed; or of ours, and taken out since it was hit. */
  private isOfOthers(thread: ProgramThread, at: Address): boolean {
    if (this.breakpoints.has(at) || this.exits.covers(thread.space, at)) return false;
    const memory = this.memoryIn(thread.space);
    this.values.fetch(thread);
    if (this.exits.leave(thread, at, memory)) return true;
    const byte = new Uint8Array(1);
    // Where it can be seen it is an int3 of the program's own, or of a slot.
    if (memory.readSome(at, byte) === 1 && byte[0] === INT3) {
      thread.fetched = false;
      return false;
    }
    this.breakpoints.remove(thread.space, at);
    return true;
  }

  private signalled(thread: ProgramThread, signal: number, stepping: boolean): Stop | undefined {
    if (signal === STUB_SIGNAL.none) {
      if (!thread.interruptAsked) {
        this.go(thread, stepping ? "step" : "continue");
        thread.stepping = stepping;
        return undefined;
      }
      thread.interruptAsked = false;
      return { kind: "interrupted", thread: thread.id };
    }
    if (signal === STUB_SIGNAL.trap && stepping) return { kind: "step", thread: thread.id };
    return { kind: "signal", thread: thread.id, signal: this.signalOf(thread, signal) };
  }

  private atCall(thread: ProgramThread, phase: "entry" | "exit", number: number): Stop | undefined {
    if (phase === "entry") this.calls.entered(thread, number, this.memoryIn(thread.space));
    if (this.calls.tracing) return { kind: "system-call", thread: thread.id, phase, number };
    this.go(thread, "continue");
    return undefined;
  }

  private begins(
    thread: ProgramThread,
    space: SpaceId,
    copyOf: SpaceId | undefined,
    parent: ThreadId,
    newProcess: boolean,
  ): Stop {
    return { kind: "thread-start", thread: thread.id, space, copyOf, parent, newProcess };
  }

  /** The child stands still; its parent goes on. */
  private forked(parent: ProgramThread, stub: StubThread, space: SpaceId | undefined): Stop {
    const child = this.threadBook.find(stub) ?? this.threadBook.add(stub, space);
    child.state = "stopped";
    if (space === undefined) this.exits.copy(parent.space, child.space);
    this.go(parent, "continue");
    return this.begins(child, child.space, space === undefined ? parent.space : undefined, parent.id, true);
  }

  private executed(thread: ProgramThread): Stop {
    // What the program was before, and its other threads, are gone.
    for (const other of this.threadBook.ofProcess(thread.process)) {
      this.drop(other);
      if (other !== thread)
        this.ready.push({
          kind: "thread-gone",
          thread: other.id,
          space: other.space,
          processExit: undefined,
        });
    }
    const now = this.threadBook.add(thread.stub, undefined);
    now.state = "stopped";
    this.ready.push({ kind: "exec", thread: now.id, former: thread.id, space: now.space });
    // At least that one.
    return this.ready.shift() as Stop;
  }

  private processEnded(
    process: number | undefined,
    processExit: Extract<Stop, { kind: "thread-gone" }>["processExit"],
  ): Stop | undefined {
    const threads = process === undefined ? [...this.threadBook.all()] : this.threadBook.ofProcess(process);
    // The leader last: with it the process ends.
    threads.sort((a, b) => Number(a.id === a.process) - Number(b.id === b.process));
    for (const [index, thread] of threads.entries()) {
      this.drop(thread);
      const isLast = index === threads.length - 1;
      this.ready.push({
        kind: "thread-gone",
        thread: isLast ? (thread.process as ThreadId) : thread.id,
        space: thread.space,
        processExit: isLast ? processExit : undefined,
      });
    }
    return this.ready.shift();
  }

  /** A thread that stops before anybody told that it began. */
  private discover(stub: StubThread): ProgramThread {
    return this.threadBook.add(stub, this.threadBook.spaceOf(stub.process ?? stub.thread));
  }

  private mainOf(thread: ProgramThread): ThreadId {
    const other = this.threadBook.ofProcess(thread.process).find((each) => each !== thread);
    return other?.id ?? thread.id;
  }

  private drop(thread: ProgramThread): void {
    this.calls.forget(thread);
    this.threadBook.remove(thread);
    this.client.ids.forget(thread.stub);
    if (this.threadBook.ofSpace(thread.space).length === 0) this.memories.delete(thread.space);
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

  private go(thread: ProgramThread, how: "continue" | "step", signal?: number): void {
    thread.state = "running";
    thread.fetched = false;
    thread.atBreakpoint = false;
    this.client.resume([{ thread: thread.stub, how, signal }]);
  }

  private letHeldGo(): void {
    for (const thread of this.threadBook.all()) if (thread.state === "held") this.go(thread, "continue");
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

  private signalOf(thread: ProgramThread, signal: number): SignalInfo {
    this.values.select(thread);
    return readSignal(this.client, signal);
  }

  // Memory

  private memoryIn(space: SpaceId): StubMemory {
    let memory = this.memories.get(space);
    if (memory === undefined) {
      memory = new StubMemory(
        this.client,
        () => {
          this.selectIn(space);
        },
        () => this.files.mappings(this.someOf(space).process),
      );
      this.memories.set(space, memory);
    }
    return memory;
  }

  private selectIn(space: SpaceId): void {
    const selected = this.client.selectedThread;
    if (selected !== undefined && this.threadBook.find(selected)?.space === space) return;
    this.values.select(this.someOf(space));
  }

  private someOf(space: SpaceId): ProgramThread {
    const threads = this.threadBook.ofSpace(space);
    const thread = threads.find(({ state }) => state === "stopped") ?? threads[0];
    if (thread === undefined) throw new TargetGone("the program is gone");
    return thread;
  }

  private mappedFile(space: SpaceId, mapping: Mapping): Uint8Array {
    return this.files.file(this.someOf(space).process, mapping.path);
  }

  private letGo(): void {
    const processes = new Set<number>();
    for (const thread of this.threadBook.all()) {
      processes.add(thread.process);
      if (thread.state === "stopped") unlessGone(() => this.values.flush(thread));
    }
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
