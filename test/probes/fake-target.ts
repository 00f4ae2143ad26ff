import { type Address, offsetBy } from "../../src/base/address.js";
import { ProbeRefused, TargetGone } from "../../src/base/errors.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import {
  type Capabilities,
  CONTINUE,
  type Disposition,
  type Mapping,
  type Memory,
  type Resume,
  type ReturnToken,
  type SignalInfo,
  type SpaceId,
  type Stop,
  type Target,
  type ThreadFacts,
  type ThreadId,
} from "../../src/targets/target.js";
import { type FakeMemory } from "./fake-memory.js";
import {
  begin,
  BREAKPOINT,
  dataPointer,
  freshMemory,
  keptBreakpoints,
  type Pending,
  raised,
  type SignalHandling,
  type SystemCall,
  type Thread,
} from "./fake-thread.js";
import { execute } from "./fake-processor.js";
import type { How, Witness } from "./witness.js";
import { AT, behind, mayBeEmulated, PAGE, PROGRAM, stackOf, TEXT } from "./fake-program.js";

const SLOTS = 0x50_0000 as Address;
const NESTED_SIGNALS = 4;
const FRAME_LENGTH = 64;
/** What comes from outside. */
const ALARM = { number: 14, name: "SIGALRM", code: 0, address: undefined, synchronous: false };

/** A target that runs when it is told to: threads take single instructions, signals come where the test wants them. */
export class FakeTarget implements Target {
  readonly capabilities: Capabilities;
  /** Nowhere is room for slots. */
  full = false;
  /** Threads are waited for in no order: of two that stopped, who stopped last is told of first. */
  latestFirst = false;
  /** Decides what becomes of the next faults. */
  faultHandling: Exclude<SignalHandling, "ignore"> = "return";
  private readonly known = new Map<ThreadId, Thread>();
  private readonly stops: Stop[] = [];
  private nextRegion = SLOTS;
  private nextThread = 100;
  private nextSpace = 1;
  /** An instruction executes in place, for the engine. */
  private executesNow = false;

  /** @param inPlace displaced instructions execute where they stand, and the target keeps its breakpoints itself */
  constructor(
    private readonly witness: Witness,
    inPlace: boolean,
  ) {
    const breakpoints = keptBreakpoints((space) => this.memory(space));
    this.capabilities = inPlace
      ? { stepsAlone: false, executesInPlace: true, breakpoints }
      : this.withSlots();
  }

  private withSlots(): Capabilities {
    return {
      stepsAlone: true,
      mapNear: (thread, near, length) => {
        if (this.full) throw new ProbeRefused(near, "no-slot", "no room");
        const at = this.nextRegion;
        this.nextRegion = offsetBy(at, length);
        this.stopped(thread).memory.map(at, length);
        return at;
      },
      unmap: (thread, at) => {
        this.stopped(thread).memory.unmap(at);
      },
    };
  }

  /** Whatever is to execute in its place does: nobody else runs before. */
  private executeInPlaces(): void {
    for (const thread of this.known.values()) this.executeInPlace(thread);
  }

  private executeInPlace(thread: Thread): void {
    const { id, memory, space, inPlace } = thread;
    thread.inPlace = undefined;
    if (inPlace === undefined || thread.state !== "running") return;
    if (thread.defers !== undefined) {
      thread.pending = { signal: ALARM, handling: thread.defers };
      thread.defers = undefined;
      return this.stop(thread, { kind: "deferred", thread: id });
    }
    const { pc } = thread.registers;
    // It may have been disarmed meanwhile.
    const covered = memory.byte(pc) === BREAKPOINT;
    if (covered) memory.writeText(pc, Uint8Array.of(inPlace));
    this.executesNow = true;
    this.executeOne(thread);
    this.executesNow = false;
    if (covered && thread.space === space) memory.writeText(pc, Uint8Array.of(BREAKPOINT));
    if (this.known.get(id)?.state === "running") this.stop(thread, { kind: "step", thread: id });
  }

  /** A thread of a new program, or of the same as another. */
  startThread(beside: ThreadId | undefined): Stop {
    const first = beside === undefined ? undefined : this.known.get(beside);
    const space = first?.space ?? (this.nextSpace++ as SpaceId);
    const thread = this.add(space, first?.memory ?? freshMemory());
    thread.memory.map(stackOf(thread.id), PAGE);
    return {
      kind: "thread-start",
      thread: thread.id,
      space,
      copyOf: undefined,
      parent: beside ?? thread.id,
      newProcess: beside === undefined,
    };
  }

  /** Lets a running thread execute one instruction; false where it cannot run. */
  stepThread(id: ThreadId): boolean {
    this.executeInPlaces();
    const thread = this.known.get(id);
    if (thread?.state !== "running") return false;
    const { steps } = thread;
    thread.steps = false;
    this.executeOne(thread);
    if (steps && this.known.get(id)?.state === "running") this.stop(thread, { kind: "step", thread: id });
    return true;
  }

  takeAway(id: ThreadId, what: "data" | "stack", faults: number): void {
    const thread = this.known.get(id);
    if (thread === undefined) return;
    const { registers, memory } = thread;
    memory.takeAway(what === "data" ? dataPointer(registers) : offsetBy(registers.sp, -8), faults);
  }

  setSystemCall(id: ThreadId, call: SystemCall): void {
    const thread = this.known.get(id);
    if (thread !== undefined) thread.systemCall = call;
  }

  /** A signal from outside reaches a running thread between two instructions. */
  signal(id: ThreadId, handling: SignalHandling): void {
    this.executeInPlaces();
    const thread = this.known.get(id);
    if (thread?.state !== "running") return;
    this.raise(thread, ALARM, thread.frames.length < NESTED_SIGNALS ? handling : "ignore");
  }

  /**
   * A signal is to come before a thread executes the next instruction in its place, or none any more.
   *
   * @returns whether one was to come and has not
   */
  defer(id: ThreadId, handling: SignalHandling | undefined): boolean {
    const thread = this.known.get(id);
    if (thread === undefined) return false;
    const waits = thread.defers !== undefined;
    thread.defers = thread.frames.length < NESTED_SIGNALS ? handling : undefined;
    return waits;
  }

  /** SIGKILL. `told`: the thread stops once more on its way out. */
  kill(id: ThreadId, told: boolean): void {
    const thread = this.known.get(id);
    if (thread === undefined || thread.state === "gone" || thread.ending) return;
    for (let index = this.stops.length - 1; index >= 0; index--) {
      const stop = this.stops[index];
      // That a thread or a program began is told whatever becomes of it.
      if (stop?.thread === id && stop.kind !== "thread-start" && stop.kind !== "exec")
        this.stops.splice(index, 1);
    }
    thread.pending = undefined;
    thread.ending = true;
    if (told) this.stop(thread, { kind: "thread-exiting", thread: id });
    else this.end(thread);
  }

  /** A handler sends its thread elsewhere. */
  send(id: ThreadId, offset: number): void {
    const thread = this.stopped(id);
    thread.place = offset;
    thread.registers.pc = offsetBy(TEXT, offset);
  }

  /** A handler has its thread execute an instruction, as a call of a function of the program would. */
  runNested(id: ThreadId, offset: number, deal: (stop: Stop) => void): void {
    const thread = this.stopped(id);
    const { place, returning, pending, defers } = thread;
    thread.pending = undefined;
    thread.defers = undefined;
    const saved = thread.registers.values.slice();
    this.send(id, offset);
    thread.state = "running";
    const isDone = (): boolean =>
      thread.state === "running" && thread.registers.pc === offsetBy(TEXT, behind(offset));
    for (let step = 0; !isDone(); step++) {
      if (step > 4) throw new Error("a nested hit does not end");
      this.executeInPlace(thread);
      if (thread.state === "running") this.executeOne(thread);
      if (this.known.get(id)?.state !== "stopping") continue;
      const stop = this.stops.pop();
      thread.state = "stopped";
      if (stop !== undefined) deal(stop);
    }
    thread.state = "stopped";
    Object.assign(thread, { place, returning, pending, defers });
    thread.registers.values.set(saved);
  }

  /**
   * The whole text is mapped anew: whatever was written into it is gone.
   *
   * @returns false where that cannot be: while a child that has the old text is not told of
   */
  remapText(space: SpaceId): boolean {
    this.executeInPlaces();
    if (this.stops.some((stop) => stop.kind === "thread-start" && stop.copyOf === space)) return false;
    for (const thread of this.known.values())
      if (thread.space === space) thread.memory.writeText(TEXT, PROGRAM);
    return true;
  }

  /** Lets go of every thread, as a tracer that detaches. */
  detach(): void {
    const living = [...this.known.values()].filter(({ state }) => state !== "gone");
    if (living.some(({ state }) => state !== "stopped"))
      throw new Error("a thread was not stopped before it was let go");
    // One may die of the signal that it is let go with, and the others of its process with it.
    for (const thread of living) if (thread.state === "stopped") this.goOn(thread.id);
  }

  /** Nobody traces it: what would be stops are none. */
  runFree(): void {
    for (let stop = this.wait(); stop !== undefined; stop = this.wait()) {
      if (stop.kind === "thread-gone") continue;
      if (stop.kind === "breakpoint" && this.handlingOf(stop.thread) === undefined)
        throw new Error("a breakpoint was left behind");
      if (this.known.get(stop.thread)?.state === "stopped") this.goOn(stop.thread);
    }
  }

  /** The spaces with living threads that have been told of. */
  spaces(): Set<SpaceId> {
    const living = [...this.known.values()].filter((thread) => thread.state !== "gone");
    const spaces = new Set(living.map((thread) => thread.space));
    for (const stop of this.stops)
      if (stop.kind === "thread-start" || stop.kind === "exec") spaces.delete(stop.space);
    return spaces;
  }

  textNow(space: SpaceId): Uint8Array {
    const bytes = new Uint8Array(PROGRAM.length);
    this.memory(space).read(TEXT, bytes);
    return bytes;
  }

  leftStopped(): boolean {
    return [...this.known.values()].some(({ state }) => state === "stopped" || state === "stopping");
  }

  /** The instruction that a thread would execute next, were it alone. */
  placeOf(id: ThreadId): number {
    const thread = this.known.get(id);
    if (thread === undefined) throw new RangeError("no such thread");
    return thread.place;
  }

  *threads(): Iterable<ThreadId> {
    // Until its end is told a thread counts as there.
    for (const thread of this.known.values())
      if (thread.state !== "gone" || this.stops.some((stop) => stop.thread === thread.id)) yield thread.id;
  }

  *threadsOf(space: SpaceId): Iterable<ThreadId> {
    for (const thread of this.threads()) if (this.known.get(thread)?.space === space) yield thread;
  }

  /** Is memory for slots mapped in a space? */
  hasSlots(space: SpaceId): boolean {
    const memory = this.memory(space);
    for (let at: Address = SLOTS; at < this.nextRegion; at = offsetBy(at, PAGE))
      if (memory.readSome(at, new Uint8Array(1)) > 0) return true;
    return false;
  }

  spaceOf(thread: ThreadId): SpaceId {
    const known = this.known.get(thread);
    if (known === undefined) throw new TargetGone(`thread ${String(thread)} is gone`);
    return known.space;
  }

  /** Nothing here takes time: what does not stop at once never will. */
  isRunnable(): boolean {
    return false;
  }

  isStopped(thread: ThreadId): boolean {
    return this.known.get(thread)?.state === "stopped";
  }

  wait(): Stop | undefined {
    this.executeInPlaces();
    const latest = this.stops.at(-1)?.kind;
    const mayOvertake = latest === "breakpoint" || latest === "signal" || latest === "step";
    const stop = this.latestFirst && mayOvertake ? this.stops.pop() : this.stops.shift();
    const thread = stop === undefined ? undefined : this.known.get(stop.thread);
    if (thread?.state === "stopping") thread.state = "stopped";
    return stop;
  }

  registers(thread: ThreadId): RegisterFile {
    return this.stopped(thread).registers;
  }

  interrupt(thread: ThreadId): void {
    this.executeInPlaces();
    const known = this.alive(thread);
    known.steps = false;
    if (known.state === "running") this.stop(known, { kind: "interrupted", thread });
  }

  resume(id: ThreadId, how: Resume): void {
    const thread = this.stopped(id);
    const { pending } = thread;
    thread.pending = undefined;
    thread.state = "running";
    if (thread.ending) return this.end(thread);
    this.noteEmulation(thread);
    if (how.kind === "step") {
      thread.steps = true;
    } else if (how.kind === "in-place") {
      if (pending !== undefined) throw new Error("a signal is swallowed");
      thread.inPlace = how.original;
    } else if (how.kind === "deliver") {
      if (pending === undefined) throw new Error("a signal is delivered that nobody sent");
      this.deliver(thread, pending, how.watch ?? 0, how.address);
    } else if (pending !== undefined) throw new Error("a signal is swallowed");
  }

  memory(space: SpaceId): Memory {
    for (const thread of this.known.values()) if (thread.space === space) return thread.memory;
    throw new TargetGone(`space ${String(space)} is gone`);
  }

  mappings(): readonly Mapping[] {
    return [];
  }

  facts(thread: ThreadId): ThreadFacts {
    const none = { process: 1, parentProcess: 0, processor: 0, user: 0, group: 0 };
    return { ...none, thread, executable: "/fake", name: "fake" };
  }

  disposition(thread: ThreadId): Disposition {
    const handling = this.stopped(thread).pending?.handling;
    return handling === "die" ? "fatal" : handling === "ignore" ? "ignored" : "handled";
  }

  handlingOf(thread: ThreadId): SignalHandling | undefined {
    return this.known.get(thread)?.pending?.handling;
  }

  traceSystemCalls(): void {
    throw new Error("nobody asks for this");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  private goOn(thread: ThreadId): void {
    this.resume(thread, this.handlingOf(thread) === undefined ? CONTINUE : { kind: "deliver" });
  }

  private add(space: SpaceId, memory: FakeMemory): Thread {
    const id = this.nextThread++ as ThreadId;
    const thread: Thread = {
      id,
      registers: new RegisterFile(),
      owner: id,
      space,
      memory,
      state: "stopped",
      place: AT.nop,
      pending: undefined,
      frames: [],
      returning: undefined,
      systemCall: "plain",
      ending: false,
      steps: false,
      inPlace: undefined,
      defers: undefined,
    };
    this.known.set(id, thread);
    begin(thread);
    return thread;
  }

  private alive(id: ThreadId): Thread {
    const thread = this.known.get(id);
    if (thread === undefined || thread.state === "gone") throw new TargetGone(`thread ${String(id)} is gone`);
    return thread;
  }

  private stopped(id: ThreadId): Thread {
    const thread = this.alive(id);
    if (thread.state !== "stopped") throw new Error(`thread ${String(id)} is running`);
    return thread;
  }

  private stop(thread: Thread, stop: Stop): void {
    thread.state = "stopping";
    this.stops.push(stop);
  }

  private end(thread: Thread): void {
    thread.state = "gone";
    this.stops.push({ kind: "thread-gone", thread: thread.id, space: thread.space, processExit: undefined });
  }

  /** Of a signal all threads of a process die; the others on their way are told of. */
  private endProcess(dying: Thread): void {
    this.end(dying);
    for (const other of this.known.values())
      if (other.space === dying.space && other !== dying) this.kill(other.id, true);
  }

  private raise(thread: Thread, signal: SignalInfo, handling: SignalHandling): void {
    thread.pending = { signal, handling };
    thread.steps = false;
    if (this.executesNow) this.stop(thread, raised(thread.id, signal, "fault", handling !== "die"));
    else this.stop(thread, { kind: "signal", thread: thread.id, signal });
  }

  private executeOne(thread: Thread): void {
    const { registers, id } = thread;
    const { pc } = registers;
    const { returning } = thread;
    thread.returning = undefined;
    const inText = pc >= TEXT && pc < TEXT + PROGRAM.length;
    const location = inText ? pc : this.witness.locationOfSlot(thread.space, pc);
    const ran = execute(registers, thread.memory);
    if (ran.kind === "breakpoint") {
      const returned = returning?.to === pc ? returning.token : 0;
      return this.stop(thread, { kind: "breakpoint", thread: id, at: pc, returned });
    }
    if (location === undefined) return this.witness.wentBack(id);
    const offset = location - TEXT;
    if (offset !== thread.place)
      throw new Error(
        `thread ${String(id)} executes +${String(offset)} where it should execute +${String(thread.place)}`,
      );
    if (ran.kind === "fault") {
      const fault = { number: 11, name: "SIGSEGV", code: 1, address: BigInt(ran.address) };
      return this.raise(thread, { ...fault, synchronous: true }, this.faultHandling);
    }
    const how = inText && !this.executesNow ? "in its place" : "out of line";
    if (ran.kind === "system-call") return this.callSystem(thread, offset, how);
    thread.place = behind(offset);
    if (ran.kind === "trap") {
      const signal = { number: 5, name: "SIGTRAP", code: 0x80, address: undefined, synchronous: true };
      thread.pending = { signal, handling: this.faultHandling };
      if (this.executesNow) return this.stop(thread, raised(id, signal, "trap", false));
      return this.stop(thread, {
        kind: "breakpoint",
        thread: id,
        at: offsetBy(registers.pc, -1),
        returned: 0,
      });
    }
    this.witness.executed(id, offset, how);
  }

  private callSystem(thread: Thread, offset: number, how: How): void {
    const { id } = thread;
    if (offset === AT.sigreturn) {
      this.witness.executed(id, offset, how);
      return this.returnFromHandler(thread);
    }
    thread.place = behind(offset);
    const call = thread.systemCall;
    thread.systemCall = "plain";
    switch (call) {
      case "plain":
        break;
      case "fork":
        this.fork(thread);
        break;
      case "exec":
        return this.exec(thread);
      case "exit":
        thread.ending = true;
        return this.stop(thread, { kind: "thread-exiting", thread: id });
    }
    this.witness.executed(id, offset, how);
  }

  private returnFromHandler(thread: Thread): void {
    const frame = thread.frames.pop();
    if (frame === undefined) throw new Error("a handler returns that was never called");
    if (frame.fault !== undefined) thread.memory.bringBack(frame.fault);
    const to = offsetBy(TEXT, frame.place);
    thread.place = frame.place;
    thread.registers.pc = to;
    thread.registers.sp = frame.sp;
    thread.returning = { token: frame.token, to };
  }

  private fork(parent: Thread): void {
    const space = this.nextSpace++ as SpaceId;
    const child = this.add(space, parent.memory.copy());
    child.registers.values.set(parent.registers.values);
    child.owner = parent.owner;
    child.place = parent.place;
    child.frames = [...parent.frames];
    this.stop(child, {
      kind: "thread-start",
      thread: child.id,
      space,
      copyOf: parent.space,
      parent: parent.id,
      newProcess: true,
    });
  }

  private exec(thread: Thread): void {
    for (const other of this.known.values())
      if (other !== thread && other.space === thread.space) this.kill(other.id, false);
    thread.space = this.nextSpace++ as SpaceId;
    thread.memory = freshMemory();
    thread.memory.map(stackOf(thread.owner), PAGE);
    thread.frames = [];
    begin(thread);
    this.stop(thread, { kind: "exec", thread: thread.id, former: thread.id, space: thread.space });
  }

  /** Where the engine ran the instruction itself, only the program counter tells. */
  private noteEmulation(thread: Thread): void {
    const { place, id, registers } = thread;
    const inText = registers.pc >= TEXT && registers.pc < TEXT + PROGRAM.length;
    if (!inText || registers.pc === offsetBy(TEXT, place)) return;
    if (!mayBeEmulated(place) || registers.pc !== offsetBy(TEXT, behind(place)))
      throw new Error(`a thread at +${String(place)} is resumed at +${String(registers.pc - TEXT)}`);
    thread.place = behind(place);
    this.witness.executed(id, place, "emulated");
  }

  private deliver(
    thread: Thread,
    { signal, handling }: Pending,
    token: ReturnToken,
    address: bigint | undefined,
  ): void {
    const { registers, id } = thread;
    if (handling === "ignore") return;
    if (handling === "die") return this.endProcess(thread);
    // What a signal frame shows.
    if (registers.pc !== offsetBy(TEXT, thread.place))
      throw new Error(`a signal handler sees the program counter 0x${registers.pc.toString(16)}`);
    if (address !== undefined && address !== signal.address)
      throw new Error(`a signal handler sees the address 0x${address.toString(16)}`);
    this.witness.interrupted(id);
    if (handling === "jump") {
      thread.memory.bringBack(Number(signal.address ?? 0n) as Address);
      if (thread.frames.length > 0) {
        // Into the handler around it, which returns.
        thread.place = AT.sigreturn;
        registers.pc = offsetBy(TEXT, AT.sigreturn);
        this.witness.jumped(id, 1);
        return;
      }
      // To where a call of the function returns, too.
      begin(thread, signal.synchronous ? AT.nop : AT.site);
      this.witness.jumped(id, 1);
      return;
    }
    const fault = signal.number === 11 ? (Number(signal.address) as Address) : undefined;
    thread.frames.push({ place: thread.place, sp: registers.sp, token, fault });
    registers.sp = offsetBy(registers.sp, -FRAME_LENGTH);
    thread.place = AT.handler;
    registers.pc = offsetBy(TEXT, AT.handler);
  }
}
