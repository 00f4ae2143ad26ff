import { RegisterFile, registerIndex } from "../../arch/x86_64/registers.js";
import type { Address } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import type { SpaceId, ThreadId } from "../target.js";
import { SharedBytes } from "../system-calls.js";
import { SpaceMemory } from "./memory.js";
import { PTRACE } from "./ptrace.js";
import type { Shelter, SignalAction } from "./shelter.js";
import type { ReturnWatches } from "../return-watch.js";
import { type MaskCall, TrapMask } from "./signal-mask.js";

/** `struct user_regs_struct`, 27 words. arch/x86/include/asm/user_64.h. */
export const REGISTER_BYTES = 27 * 8;
const RIP_WORD = 2 * registerIndex("rip");

/** A thread that is traced. */
export class Thread {
  readonly registers: RegisterFile;
  readonly registersAddress: number;
  /** The registers as 32-bit words, and what they were when they were fetched. */
  readonly words: Int32Array;
  private readonly fetched = new Int32Array(REGISTER_BYTES / 4);
  /** `registers` hold what the thread has. */
  registersValid = false;
  /** Stands still and was reported, or is about to be. */
  stopped = false;
  /** Stopped by an `int3`; as far as the kernel knows it is before it again, or where it is to go on. */
  rewound = false;
  /** Where it was stopped by an `int3`: the address behind it. */
  trappedAt = 0 as Address;
  /** Its creator's event came, its own first stop not yet. */
  starting:
    | {
        readonly parent: ThreadId;
        readonly newProcess: boolean;
        readonly copyOf: SpaceId | undefined;
        /** See {@link Thread.cloneCall}. */
        readonly cloneCall: bigint | undefined;
      }
    | undefined;
  /** Signal that `deliver` would deliver; 0 none. */
  pendingSignal = 0;
  /** Stopped by an `int3`. */
  trapped = false;
  /** What it blocks, as the program would see it: a breakpoint's trap unblocks SIGTRAP. */
  readonly mask = new TrapMask();
  /** A call that changes the mask is under way, itself changed. */
  maskCall: MaskCall | undefined;
  /** It is to be let go for good where it goes on: see set-user-id.ts. */
  leaves = false;
  /** A call that makes a child is under way, changed so that the child is traced: its first argument as it was. */
  cloneCall: bigint | undefined;
  /** A signal with a handler was delivered, and the stop at the handler's first instruction is to come. */
  entering = false;
  /** In a job-control stop: continue means PTRACE_LISTEN. */
  groupStopped = false;
  interruptAsked = false;
  /** We sent an interrupt, for whatever reason, which has not been seen yet. */
  disturbed = false;
  /** Stands at the entry of a system call, which is still to be made. */
  atCallEntry = false;
  /** Was stopped at its exit: it runs no user code any more. */
  ending = false;
  /** Number of the system call whose entry was seen last. */
  systemCall = -1;
  /** Set between the event of an exec and the exit of its system call: the TID before it. */
  execFrom: ThreadId | undefined;
  /** Request with which the thread was last set going: a stop that is nobody's business repeats it. */
  going: number = PTRACE.CONT;
  watches: ReturnWatches | undefined;

  constructor(
    readonly id: ThreadId,
    /** Thread group: the PID. Changes for nobody: exec makes the thread that lives on the leader. */
    readonly process: number,
    readonly space: Space,
  ) {
    const memory = new SharedBytes(REGISTER_BYTES);
    this.registersAddress = memory.address;
    this.registers = new RegisterFile(memory.buffer);
    this.words = memory.words;
  }

  /** The registers were just filled. */
  noteFetched(): void {
    this.registersValid = true;
    this.fetched.set(this.words);
  }

  /** Stopped by an `int3`, and somebody wants it elsewhere. */
  isMoved(): boolean {
    const { registers } = this;
    return registers.dirty && (registers.pc !== this.trappedAt || !this.onlyCounterChanged());
  }

  /** Whether all registers but the program counter are as they were fetched. */
  onlyCounterChanged(): boolean {
    const { words, fetched } = this;
    for (let i = 0; i < words.length; i++)
      if (words[i] !== fetched[i] && i !== RIP_WORD && i !== RIP_WORD + 1) return false;
    return true;
  }
}

/** An address space and who lives in it. */
export class Space {
  readonly threads = new Map<ThreadId, Thread>();
  readonly memory: SpaceMemory;
  /** Room for the stub of an injected call, once there is some that is ours. */
  stub: Address | undefined;
  /** What keeps the program right when we die; undefined where none could be built. */
  shelter: Shelter | undefined;
  /** What a shelter that is still to be built is to know; undefined where none is wanted. */
  noted: ((shelter: Shelter) => void)[] | undefined;
  /** What the process had for SIGTRAP before it executed this program. */
  inherited: SignalAction | undefined;
  /**
   * Until when none of its threads is made to call the kernel: one of them did not run, and the others
   * hardly will; as `performance.now()` has it.
   */
  unresponsiveUntil = 0;

  constructor(readonly id: SpaceId) {
    this.memory = new SpaceMemory(() => this.threads.keys(), `address space ${id}`);
  }

  /** A thread of it came to a breakpoint: they run again. */
  noteRunning(): void {
    if (this.unresponsiveUntil !== Infinity) this.unresponsiveUntil = 0;
  }
}

/** All threads and spaces of a target. */
export class ThreadBook {
  private readonly byId = new Map<ThreadId, Thread>();
  private readonly spaces = new Map<SpaceId, Space>();
  private spaceCount = 0;

  get size(): number {
    return this.byId.size;
  }

  find(id: ThreadId): Thread | undefined {
    return this.byId.get(id);
  }

  /** @throws TargetGone no such thread, or no longer */
  get(id: ThreadId): Thread {
    const thread = this.byId.get(id);
    if (thread === undefined) throw new TargetGone(`thread ${id} is gone`);
    return thread;
  }

  ids(): Iterable<ThreadId> {
    return this.byId.keys();
  }

  all(): Iterable<Thread> {
    return this.byId.values();
  }

  newSpace(): Space {
    const space = new Space(++this.spaceCount as SpaceId);
    this.spaces.set(space.id, space);
    return space;
  }

  /** @throws TargetGone no thread of the space lives */
  /** None where the space is gone. */
  threadsOf(id: SpaceId): Iterable<ThreadId> {
    return this.spaces.get(id)?.threads.keys() ?? [];
  }

  space(id: SpaceId): Space {
    const space = this.spaces.get(id);
    if (space === undefined) throw new TargetGone(`address space ${id} is gone`);
    return space;
  }

  add(id: ThreadId, process: number, space: Space): Thread {
    const thread = new Thread(id, process, space);
    this.byId.set(id, thread);
    space.threads.set(id, thread);
    return thread;
  }

  remove(thread: Thread): void {
    this.byId.delete(thread.id);
    const space = thread.space;
    space.threads.delete(thread.id);
    if (space.threads.size > 0) return;
    space.memory.close();
    this.spaces.delete(space.id);
  }

  /** Closes every space. */
  clear(): void {
    for (const thread of [...this.byId.values()]) this.remove(thread);
  }
}

/** Whether no other thread of its process is traced. */
export function isLastOfProcess(book: ThreadBook, thread: Thread): boolean {
  for (const other of book.all()) if (other !== thread && other.process === thread.process) return false;
  return true;
}
