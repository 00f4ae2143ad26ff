import { type Address, offsetBy } from "../../src/base/address.js";
import { MemoryFault, TargetGone } from "../../src/base/errors.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import type {
  Capabilities,
  Disposition,
  Mapping,
  Memory,
  Resume,
  ReturnToken,
  SignalInfo,
  SpaceId,
  Stop,
  Target,
  ThreadFacts,
  ThreadId,
} from "../../src/targets/target.js";

/** The program that every thread runs for ever, at {@link TEXT}. */
export const PROGRAM = Uint8Array.of(
  0x90, // +0  nop                (emulated)
  0xff,
  0xc0, // +1  inc eax            (copied)
  0x8b,
  0x0b, // +3  mov ecx,[rbx]      (copied; faults while the page is away)
  0x0f,
  0x1f,
  0x00, // +5  nop dword [rax]    (emulated)
  0xcd,
  0x03, // +8  int 3              (copied; always traps)
  0xff,
  0xc2, // +10 inc edx            (copied)
  0xeb,
  0xf2, // +12 jmp +0             (emulated)
);
export const TEXT = 0x40_0000 as Address;
/** Offsets of the instructions, in the order in which a thread passes them. */
export const INSTRUCTIONS = [0, 1, 3, 5, 8, 10, 12] as const;

const SLOTS = 0x50_0000 as Address;
const SPACE = 1 as SpaceId;

/** What the fake program's own signal handler does, decided by the script of the test. */
export type SignalHandling = "return" | "jump" | "die" | "ignore";

interface Thread {
  readonly id: ThreadId;
  readonly registers: RegisterFile;
  state: "running" | "stopped" | "gone";
  pending: Pending | undefined;
  /** Set by a return from a handler: what the next breakpoint stop at this place must carry. */
  returning: { readonly token: ReturnToken; readonly to: Address } | undefined;
  pageAway: boolean;
}

interface Pending {
  readonly signal: SignalInfo;
  readonly handling: SignalHandling;
}

/** One thing that a thread of the fake did: the truth that the core's work is measured by. */
export interface Executed {
  readonly thread: ThreadId;
  /** Offset in the program; -1 where the thread was sent to the program's start by a handler. */
  readonly offset: number;
  readonly faulted: boolean;
}

/**
 * A target of a few instructions that runs when it is told to: threads take single instructions,
 * signals come where the test wants them. It executes what really stands in its memory, slots
 * included, so a wrong byte or a wrong program counter leads astray at once.
 */
export class FakeTarget implements Target {
  readonly capabilities: Capabilities;
  readonly executed: Executed[] = [];
  /** Arrivals a thread made at each place, by flow or by retry; the handlers' calls are held against it. */
  readonly arrivals = new Map<ThreadId, number>();
  private readonly bytes = new Map<number, number>();
  private readonly known = new Map<ThreadId, Thread>();
  private readonly stops: Stop[] = [];
  private nextRegion = SLOTS;
  private nextThread = 100;

  constructor(private readonly locationOfSlot: (pc: Address) => Address | undefined) {
    PROGRAM.forEach((byte, offset) => this.bytes.set(TEXT + offset, byte));
    this.capabilities = {
      stepsAlone: true,
      mapNear: (_thread, _near, length) => {
        const at = this.nextRegion;
        this.nextRegion = offsetBy(at, length);
        for (let offset = 0; offset < length; offset++) this.bytes.set(at + offset, 0);
        return at;
      },
      unmap: (_thread, at, length) => {
        for (let offset = 0; offset < length; offset++) this.bytes.delete(at + offset);
      },
    };
  }

  startThread(): ThreadId {
    const id = this.nextThread++ as ThreadId;
    const registers = new RegisterFile();
    registers.pc = TEXT;
    registers.dirty = false;
    this.known.set(id, {
      id,
      registers,
      state: "running",
      pending: undefined,
      returning: undefined,
      pageAway: false,
    });
    this.arrivals.set(id, 0);
    return id;
  }

  /** Lets a running thread execute one instruction; false where it cannot run. */
  stepThread(id: ThreadId): boolean {
    const thread = this.known.get(id);
    if (thread?.state !== "running") return false;
    this.executeOne(thread);
    return true;
  }

  takePageAway(id: ThreadId): void {
    const thread = this.known.get(id);
    if (thread !== undefined) thread.pageAway = true;
  }

  /** A signal from outside reaches a running thread between two instructions. */
  signal(id: ThreadId, handling: SignalHandling): void {
    const thread = this.known.get(id);
    if (thread?.state !== "running") return;
    this.raise(
      thread,
      { number: 14, name: "SIGALRM", code: 0, address: undefined, synchronous: false },
      handling,
    );
  }

  /** SIGKILL: no stop before the end, whatever the thread does. */
  kill(id: ThreadId): void {
    const thread = this.known.get(id);
    if (thread === undefined || thread.state === "gone") return;
    thread.state = "gone";
    for (let index = this.stops.length - 1; index >= 0; index--) {
      if (this.stops[index]?.thread === id) this.stops.splice(index, 1);
    }
    this.stops.push({ kind: "thread-gone", thread: id, space: SPACE, processExit: undefined });
  }

  textNow(): Uint8Array {
    return PROGRAM.map((_, offset) => this.bytes.get(TEXT + offset) ?? 0);
  }

  leftStopped(): ThreadId[] {
    return [...this.known.values()].filter((thread) => thread.state === "stopped").map((thread) => thread.id);
  }

  *threads(): Iterable<ThreadId> {
    for (const thread of this.known.values()) if (thread.state !== "gone") yield thread.id;
  }

  threadsOf(): Iterable<ThreadId> {
    return this.threads();
  }

  spaceOf(thread: ThreadId): SpaceId {
    this.alive(thread);
    return SPACE;
  }

  isStopped(thread: ThreadId): boolean {
    return this.alive(thread).state === "stopped";
  }

  wait(): Stop | undefined {
    return this.stops.shift();
  }

  registers(thread: ThreadId): RegisterFile {
    return this.stopped(thread).registers;
  }

  interrupt(thread: ThreadId): void {
    const known = this.alive(thread);
    if (known.state === "running") this.stop(known, { kind: "interrupted", thread });
  }

  resume(id: ThreadId, how: Resume): void {
    const thread = this.stopped(id);
    thread.state = "running";
    const pending = thread.pending;
    thread.pending = undefined;
    if (how.kind === "step") {
      this.executeOne(thread);
      if (this.known.get(id)?.state === "running") this.stop(thread, { kind: "step", thread: id });
    } else if (how.kind === "deliver") {
      if (pending === undefined) throw new Error("nothing to deliver");
      this.handleSignal(thread, pending, how.watch ?? 0);
    }
  }

  memory(): Memory {
    return this.spaceMemory;
  }

  mappings(): readonly Mapping[] {
    return [];
  }

  facts(thread: ThreadId): ThreadFacts {
    return {
      process: 1,
      thread,
      parentProcess: 0,
      processor: 0,
      executable: "/fake",
      name: "fake",
      user: 0,
      group: 0,
    };
  }

  disposition(thread: ThreadId): Disposition {
    const handling = this.stopped(thread).pending?.handling;
    return handling === "die" ? "fatal" : handling === "ignore" ? "ignored" : "handled";
  }

  traceSystemCalls(): void {
    throw new Error("the fake makes no system calls");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  private readonly spaceMemory: Memory = {
    read: (at, into) => {
      if (this.spaceMemory.readSome(at, into) < into.length)
        throw new MemoryFault(BigInt(at), "read", "unmapped");
    },
    readSome: (at, into) => {
      for (let index = 0; index < into.length; index++) {
        const byte = this.bytes.get(at + index);
        if (byte === undefined) return index;
        into[index] = byte;
      }
      return into.length;
    },
    faultAt: (at) => new MemoryFault(BigInt(at), "read", "unmapped"),
    write: (at) => {
      throw new MemoryFault(BigInt(at), "write", "unmapped");
    },
    writeText: (at, bytes) => {
      bytes.forEach((byte, index) => {
        if (!this.bytes.has(at + index)) throw new MemoryFault(BigInt(at), "write", "unmapped");
        this.bytes.set(at + index, byte);
      });
    },
  };

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
    thread.state = "stopped";
    this.stops.push(stop);
  }

  private raise(thread: Thread, signal: SignalInfo, handling: SignalHandling): void {
    thread.pending = { signal, handling };
    this.stop(thread, { kind: "signal", thread: thread.id, signal });
  }

  private byte(at: number): number {
    const byte = this.bytes.get(at);
    if (byte === undefined) throw new Error(`a thread ran into unmapped memory at 0x${at.toString(16)}`);
    return byte;
  }

  /** What stands at the program counter, executed as a processor would. */
  private executeOne(thread: Thread): void {
    const { registers } = thread;
    const { pc } = registers;
    const first = this.byte(pc);
    if (first === 0xcc) {
      const returned = thread.returning?.to === pc ? thread.returning.token : 0;
      thread.returning = undefined;
      if (returned === 0 || this.wasFault(returned)) this.countArrival(thread);
      registers.pc = offsetBy(pc, 1);
      this.stop(thread, { kind: "breakpoint", thread: thread.id, at: pc, returned });
      return;
    }
    thread.returning = undefined;
    const offset = this.programOffset(pc);
    const second = this.byte(pc + 1);
    if (first === 0x90) this.pass(thread, offset, 1);
    else if (first === 0xff && second === 0xc0) this.count(thread, "rax", offset);
    else if (first === 0xff && second === 0xc2) this.count(thread, "rdx", offset);
    else if (first === 0x8b && second === 0x0b) this.load(thread, offset);
    else if (first === 0x0f && second === 0x1f) this.pass(thread, offset, 3);
    else if (first === 0xcd && second === 0x03) this.trap(thread, offset);
    else if (first === 0xeb) this.jump(thread, offset, (second << 24) >> 24, 2);
    else if (first === 0xe9) this.jump(thread, undefined, this.word(pc + 1), 5);
    else throw new Error(`a thread ran into byte 0x${first.toString(16)} at 0x${pc.toString(16)}`);
  }

  private word(at: number): number {
    return this.byte(at) | (this.byte(at + 1) << 8) | (this.byte(at + 2) << 16) | (this.byte(at + 3) << 24);
  }

  /** Place in the program of an instruction in the text or of the copy in a slot; undefined for a slot's own jumps. */
  private programOffset(pc: Address): number | undefined {
    if (pc >= TEXT && pc < TEXT + PROGRAM.length) return pc - TEXT;
    const location = this.locationOfSlot(pc);
    return location === undefined ? undefined : location - TEXT;
  }

  private pass(thread: Thread, offset: number | undefined, length: number): void {
    this.log(thread, offset, false);
    thread.registers.pc = offsetBy(thread.registers.pc, length);
  }

  private count(thread: Thread, register: "rax" | "rdx", offset: number | undefined): void {
    thread.registers.write(register, thread.registers.read(register) + 1n);
    this.pass(thread, offset, 2);
  }

  private load(thread: Thread, offset: number | undefined): void {
    if (!thread.pageAway) {
      this.pass(thread, offset, 2);
      return;
    }
    this.log(thread, offset, true);
    const signal = { number: 11, name: "SIGSEGV", code: 1, address: 0x1000n, synchronous: true };
    this.raise(thread, signal, this.faultHandling);
  }

  /** Decides what becomes of the next faults; set by the test. */
  faultHandling: SignalHandling = "return";

  private trap(thread: Thread, offset: number | undefined): void {
    this.pass(thread, offset, 2);
    const signal = { number: 5, name: "SIGTRAP", code: 0x80, address: undefined, synchronous: true };
    this.raise(thread, signal, this.faultHandling === "ignore" ? "return" : this.faultHandling);
  }

  private jump(thread: Thread, offset: number | undefined, distance: number, length: number): void {
    if (offset !== undefined) this.log(thread, offset, false);
    thread.registers.pc = offsetBy(thread.registers.pc, length + distance);
  }

  private log(thread: Thread, offset: number | undefined, faulted: boolean): void {
    if (offset === undefined) throw new Error("a thread executes where no instruction of the program is");
    this.executed.push({ thread: thread.id, offset, faulted });
  }

  private handleSignal(thread: Thread, pending: Pending, token: ReturnToken): void {
    const { registers } = thread;
    const fault = pending.signal.number === 11;
    switch (pending.handling) {
      case "ignore":
        return;
      case "die":
        this.kill(thread.id);
        return;
      case "jump":
        this.checkVisible(registers.pc);
        thread.pageAway = false;
        registers.pc = TEXT;
        this.executed.push({ thread: thread.id, offset: -1, faulted: false });
        return;
      case "return":
        this.checkVisible(registers.pc);
        if (fault) thread.pageAway = false;
        if (fault && token !== 0) this.faultTokens.add(token);
        thread.returning = token === 0 ? undefined : { token, to: registers.pc };
        return;
    }
  }

  private readonly faultTokens = new Set<ReturnToken>();

  private wasFault(token: ReturnToken): boolean {
    return this.faultTokens.has(token);
  }

  private countArrival(thread: Thread): void {
    this.arrivals.set(thread.id, (this.arrivals.get(thread.id) ?? 0) + 1);
  }

  /** What a signal frame would show of the program counter. */
  private checkVisible(pc: Address): void {
    const offset = pc - TEXT;
    if (!(INSTRUCTIONS as readonly number[]).includes(offset)) {
      throw new Error(`a signal handler sees the program counter 0x${pc.toString(16)}`);
    }
  }
}

/** What a program like this may do: after each instruction, the next one. */
export function checkFlow(executed: readonly Executed[]): void {
  const last = new Map<ThreadId, { offset: number; faulted: boolean }>();
  for (const { thread, offset, faulted } of executed) {
    const before = last.get(thread);
    last.set(thread, { offset, faulted });
    if (offset === -1 || before === undefined) continue;
    let expected: number =
      before.offset === -1 ? 0 : before.faulted ? before.offset : following(before.offset);
    // The core emulates these when they are probed: then nothing of them is executed here.
    while (expected !== offset && EMULATED.has(expected)) expected = following(expected);
    if (offset !== expected) {
      throw new Error(`thread ${String(thread)} executed +${String(offset)} after +${String(before.offset)}`);
    }
  }
}

const EMULATED: ReadonlySet<number> = new Set([0, 5, 12]);

function following(offset: number): number {
  const index = INSTRUCTIONS.indexOf(offset as (typeof INSTRUCTIONS)[number]);
  return INSTRUCTIONS[(index + 1) % INSTRUCTIONS.length] ?? 0;
}
