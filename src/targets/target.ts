import type { Address } from "../base/address.js";
import type { MemoryFault } from "../base/errors.js";
import type { InstructionFacts } from "../arch/x86_64/instruction-facts.js";
import type { RegisterFile } from "../arch/x86_64/registers.js";

/** A thread of a target: on Linux its TID, behind a GDB stub the stub's number. */
export type ThreadId = number & { readonly __brand: "ThreadId" };

/** An address space: the threads in one see the same text, so one breakpoint serves all of them. */
export type SpaceId = number & { readonly __brand: "SpaceId" };

/** A signal (or exception) that a thread is about to receive. Numbers are the target's own. */
export interface SignalInfo {
  readonly number: number;
  /** `"SIGSEGV"`. */
  readonly name: string;
  /** `si_code`. */
  readonly code: number;
  /** `si_addr` where the signal has one; the core corrects it where it names a slot. */
  readonly address: bigint | undefined;
  /** Raised by the processor for the instruction just tried, not sent by anybody. */
  readonly synchronous: boolean;
}

/** What a signal would do to a thread that receives it now. */
export type Disposition = "handled" | "ignored" | "fatal" | "stops";

/** The signal that a thread acts upon before anything else; see {@link Capabilities.dueSignal}. */
export type DueSignal =
  | { readonly disposition: "fatal" }
  | {
      readonly disposition: "handled";
      /** Its handler was installed with SA_RESTART; undefined where that cannot be found out. Costly. */
      readonly restarts: () => boolean | undefined;
    };

/** How a thread or process ended. */
export type ExitStatus =
  | { readonly kind: "exited"; readonly status: number }
  | {
      readonly kind: "killed";
      readonly signal: string;
      readonly number: number;
      readonly coreDumped: boolean;
    };

/**
 * Names one interrupted arrival, chosen by the core when it lets a signal go to the target's own
 * handler; see {@link Resume}. 0 means none.
 */
export type ReturnToken = number;

/** An exception of the processor that the instruction just executed in its place raised. */
export interface RaisedException {
  /** `"#PF"`. */
  readonly name: string;
  readonly vector: number;
  /** What the processor pushed with it; 0 for exceptions that have none. */
  readonly errorCode: number;
  /** The address accessed, where the exception has one and the target can tell it. */
  readonly address: bigint | undefined;
  /** `fault`: the program counter is at the instruction; `trap`: behind it. */
  readonly raisedAs: "fault" | "trap";
  /** The target's own handler may return to the instruction. */
  readonly retryable: boolean;
}

/**
 * Why a thread stands still, or what became of it. The object may be reused: it is valid until
 * the next {@link Target.wait}.
 */
export type Stop =
  /** A breakpoint instruction at `at` was executed. The program counter is behind it. */
  | {
      readonly kind: "breakpoint";
      readonly thread: ThreadId;
      readonly at: Address;
      /**
       * Not 0: the thread came here by returning (rt_sigreturn, iret) from the handler of the
       * signal that was delivered with this token, to the very place where it was interrupted.
       */
      readonly returned: ReturnToken;
    }
  /** A single step that was asked for is done; the program counter is behind the instruction. */
  | { readonly kind: "step"; readonly thread: ThreadId }
  /**
   * Instead of `step`: the instruction that was executed in its place raised an exception. Registers are
   * as at the exception; the target's own handling of it has not begun, and does where the thread is
   * resumed with `deliver`.
   */
  | { readonly kind: "instruction-fault"; readonly thread: ThreadId; readonly exception: RaisedException }
  /**
   * Instead of `step`: an interrupt of the target's own came before the instruction that was to be executed in
   * its place, and it has not run (one with `rep`: not to its end). The thread is resumed with `deliver`: it deals
   * with the interrupt first, and its coming back to the breakpoint is told as a signal handler's is.
   */
  | { readonly kind: "deferred"; readonly thread: ThreadId }
  /** A signal is about to be delivered, the thread's registers are as at the interruption. */
  | { readonly kind: "signal"; readonly thread: ThreadId; readonly signal: SignalInfo }
  | {
      readonly kind: "system-call";
      readonly thread: ThreadId;
      readonly phase: "entry" | "exit";
      readonly number: number;
    }
  /**
   * A thread appeared, stopped before its first instruction. `space` is new and a copy of
   * `copyOf` after fork; it is the creator's own after clone(CLONE_VM) and vfork.
   */
  | {
      readonly kind: "thread-start";
      readonly thread: ThreadId;
      readonly space: SpaceId;
      readonly copyOf: SpaceId | undefined;
      readonly parent: ThreadId;
      /** True where the thread is the first of a new process. */
      readonly newProcess: boolean;
    }
  /** The process has a new image, stopped before its first instruction. All its other threads are gone. */
  | { readonly kind: "exec"; readonly thread: ThreadId; readonly former: ThreadId; readonly space: SpaceId }
  /** The thread is about to end; registers and memory can be read for the last time. */
  | { readonly kind: "thread-exiting"; readonly thread: ThreadId }
  /** The thread is gone; `processExit` is set with the last thread of a process. */
  | {
      readonly kind: "thread-gone";
      readonly thread: ThreadId;
      readonly space: SpaceId;
      readonly processExit: ExitStatus | undefined;
    }
  /** A stop that {@link Target.interrupt} asked for. */
  | { readonly kind: "interrupted"; readonly thread: ThreadId };

/** How a stopped thread goes on. Registers that were written are put in place first. */
export type Resume =
  /** On with it; a signal that caused the stop is *not* delivered (breakpoint traps are ours). */
  | { readonly kind: "continue" }
  /** Execute one instruction, then stop with `step`. */
  | { readonly kind: "step" }
  /**
   * Execute the instruction under the breakpoint at the program counter while no other thread runs, then
   * stop with `step`, `instruction-fault` or `deferred`. For targets with {@link Capabilities.executesInPlace}.
   */
  | { readonly kind: "in-place"; readonly instruction: InstructionFacts; readonly original: number }
  /**
   * Deliver the signal or exception that the thread stopped with (for a breakpoint stop: its SIGTRAP), with the
   * program counter and `si_addr` as now set. With a token, the return of the target's handler to
   * the interrupted place is watched for and reported in the next `breakpoint` stop there.
   */
  | { readonly kind: "deliver"; readonly address?: bigint; readonly watch?: ReturnToken };

export const CONTINUE: Resume = { kind: "continue" };
export const STEP: Resume = { kind: "step" };

/** Memory of one address space. Reads and writes behave as the target's own loads and stores would. */
export interface Memory {
  /**
   * Fills `into` from `at` on.
   * @throws MemoryFault where the target's own load would signal; the address is the first bad one
   * @throws TargetGone  no thread of the space lives
   */
  read(at: Address, into: Uint8Array): void;

  /**
   * As {@link read}, but stops at the first unreadable byte.
   * @returns bytes read, 0 … into.length
   */
  readSome(at: Address, into: Uint8Array): number;

  /** The fault of a byte at which {@link readSome} has just stopped. @throws TargetGone */
  faultAt(at: Address): MemoryFault;

  /** @throws MemoryFault where the target's own store would signal */
  write(at: Address, bytes: Uint8Array): void;

  /** Writes text or slots, whatever their protection; private to this space. @throws MemoryFault unmapped */
  writeText(at: Address, bytes: Uint8Array): void;
}

/** One mapped range of a space. */
export interface Mapping {
  readonly start: Address;
  readonly end: Address;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly shared: boolean;
  /** Offset in the file, bytes. */
  readonly offset: number;
  /** Path as the kernel shows it, `""` for anonymous memory, `"[vdso]"` and the like included. */
  readonly path: string;
  /** The file was deleted or replaced since it was mapped. */
  readonly deleted: boolean;
}

/** What a script can ask of a thread. Numbers in the target's own name spaces. */
export interface ThreadFacts {
  readonly process: number;
  readonly thread: number;
  readonly parentProcess: number;
  readonly processor: number;
  readonly executable: string;
  readonly name: string;
  readonly user: number;
  readonly group: number;
}

/**
 * Something with threads, registers, memory and a way to stop: what the probe core asks of it.
 * All calls are synchronous and made from the one thread that owns the target. Calls about a
 * thread that died in between throw {@link TargetGone}; its `thread-gone` stop still comes.
 */
export interface Target extends AsyncDisposable {
  /** What this target can do; the core decides by this, never by the kind of target. */
  readonly capabilities: Capabilities;

  /** Threads known now, running or stopped. */
  threads(): Iterable<ThreadId>;
  spaceOf(thread: ThreadId): SpaceId;
  /** The threads of a space that live; none where the space is gone. */
  threadsOf(space: SpaceId): Iterable<ThreadId>;
  isStopped(thread: ThreadId): boolean;
  /** Whether a thread that is not stopped lacks nothing but a processor: asked to stop, it will, however late. */
  isRunnable(thread: ThreadId): boolean;

  /**
   * Waits for the next stop.
   * @param until milliseconds as `performance.now()` counts them; Infinity: for ever
   * @returns undefined at the deadline or after {@link wake}
   */
  wait(until: number): Stop | undefined;

  resume(thread: ThreadId, how: Resume): void;

  /** Asks a running thread to stop; `interrupted`, or any other stop that came first, follows. */
  interrupt(thread: ThreadId): void;

  /** Registers of a stopped thread: one object a thread, refilled at each stop. */
  registers(thread: ThreadId): RegisterFile;

  memory(space: SpaceId): Memory;
  mappings(space: SpaceId): readonly Mapping[];
  facts(thread: ThreadId): ThreadFacts;

  /** What becomes of a signal that this stopped thread is about to receive. */
  disposition(thread: ThreadId, signal: SignalInfo): Disposition;

  /** Stops with `system-call` at every system call from now on, or no longer. */
  traceSystemCalls(on: boolean): void;
}

export interface Capabilities {
  /**
   * Maps executable memory within ±2 GiB of `near` by running code in `thread`, which is stopped
   * in user mode; absent where the target cannot.
   * @throws ProbeRefused where this thread must not be made to (seccomp) or no room is near
   */
  readonly mapNear?: (thread: ThreadId, near: Address, length: number) => Address;

  /** Gives back what {@link mapNear} mapped. */
  readonly unmap?: (thread: ThreadId, at: Address, length: number) => void;

  /**
   * Maps memory that the target's threads and we have in common, within ±2 GiB of `near`, by running code in
   * `thread`, which is stopped in user mode; absent where the target cannot.
   * @throws ProbeRefused as {@link mapNear}
   */
  readonly shareNear?: (thread: ThreadId, near: Address, length: number) => SharedRegion;

  /**
   * What will happen first to a thread that stands at the end of a system call: the signal that it dies
   * of or runs its handler for. Undefined where there is none; absent where the target has no signals.
   */
  readonly dueSignal?: (thread: ThreadId) => DueSignal | undefined;

  /**
   * Whether a program ends as soon as a stopped thread receives this signal, and leaves an image of its
   * memory, which nobody shares. Absent where targets do not.
   */
  readonly dumpsMemory?: (thread: ThreadId, signal: SignalInfo) => boolean;

  /**
   * Whether threads of a space have shadow stacks: copies of their return addresses that only `call` and
   * `ret` themselves change. Absent where targets have none.
   */
  readonly hasShadowStacks?: (space: SpaceId) => boolean;

  /**
   * The contents of a file that is mapped, where the files of the target are not those of this machine, or
   * may not be; absent where `/proc` of this machine shows them.
   * @throws TargetError it cannot be read
   */
  readonly mappedFile?: (space: SpaceId, mapping: Mapping) => Uint8Array;

  /** Threads are told of when they are gone: there is no `thread-exiting`. Absent where they stop before. */
  readonly endsUnseen?: boolean;

  /** One thread can step while the others run. */
  readonly stepsAlone: boolean;

  /**
   * A displaced instruction that cannot be emulated executes in its place, with every other thread
   * stopped, instead of in a slot: see the `in-place` of {@link Resume}. Nothing is ever mapped then.
   */
  readonly executesInPlace?: boolean;

  /**
   * The stack pointer of a stopped thread cannot be changed: an instruction that changes it is never emulated.
   * For targets with {@link executesInPlace}.
   */
  readonly keepsStackPointer?: boolean;

  /**
   * An exception that an instruction raises is not told of; the half-sentence that says so of the target.
   * Probes with a fault phase are refused with it. Absent where all are told.
   */
  readonly hidesFaults?: string;

  /** The target puts breakpoints in and takes them out itself; absent where the core writes them into text. */
  readonly breakpoints?: Breakpoints;

  /**
   * Nanoseconds that the target has been running; it stands while the target does. Absent where
   * threads are stopped one by one and the host's own clock says what the target's would.
   */
  readonly clock?: () => bigint;

  /** Keeps a program right should it have to go on without us. */
  readonly guard?: Guard;

  /** What the target must be told to keep signals as they would be without breakpoints. */
  readonly signalCalls?: SignalCalls;
}

/** Memory of a space, and of its copies after fork, that is ours too. Outlives the target; disposed of it is gone here. */
export interface SharedRegion extends Disposable {
  readonly start: Address;
  /** Bytes, whole pages. */
  readonly length: number;
  readonly bytes: Uint8Array;

  /** Maps it once more near another place. @throws ProbeRefused as {@link Capabilities.mapNear} */
  mapNear(thread: ThreadId, near: Address): Address;
}

/** Breakpoints that a target keeps itself. What {@link Memory} reads there is its own business: see {@link Breakpoints.visible}. */
export interface Breakpoints {
  /** @throws ProbeRefused the target can hold no more, or none there */
  insert(space: SpaceId, at: Address): void;
  /** Its text may be gone meanwhile, or somebody else's: then nothing is done. @returns false where it is somebody else's */
  remove(space: SpaceId, at: Address): boolean;
  /** Whether memory that is read shows them as `int3`. */
  readonly visible: boolean;
}

/**
 * What a target is told before it is done, so that a program in which there are breakpoints lives
 * on when its tracer dies.
 */
export interface Guard {
  /** Breakpoints are about to be put in a space. One of its threads may be stopped for a moment. */
  begin(space: SpaceId): void;
  /** @param original the byte that the breakpoint replaces. @throws ProbeRefused there are too many */
  breakpoint(space: SpaceId, at: Address, original: number): void;
  /** Memory for slots. */
  slots(space: SpaceId, start: Address, end: Address): void;
  /**
   * A breakpoint in a slot: the thread goes on at `to`; or, kind `call`, where the word on top of
   * its stack says, and `to` is what belongs there.
   */
  exit(space: SpaceId, at: Address, kind: "jump" | "call", to: Address): void;
  /** The text of a location is gone. */
  forget(space: SpaceId, at: Address): void;
}

/**
 * System calls by which a program changes what becomes of its signals, or makes children that nobody
 * would trace, and which a target cannot see by itself without stopping at every system call.
 */
export interface SignalCalls {
  readonly numbers: ReadonlySet<number>;

  /** The calls of a space are told from now on. */
  begin(space: SpaceId): void;

  /**
   * A thread is stopped before a `syscall` instruction. Its registers may be other ones
   * afterwards, its program counter behind the instruction.
   * @returns whether {@link done} is to be called behind the instruction
   */
  about(thread: ThreadId): boolean;

  /** The thread stands behind it. */
  done(thread: ThreadId): void;
}
