import type { RegisterFile } from "../../arch/x86_64/registers.js";
import { TargetError } from "../../base/errors.js";
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
} from "../target.js";
import { attach } from "./attach.js";
import { dispositionOf, dumpsMemory } from "./disposition.js";
import { dueSignal } from "./due-signal.js";
import { detachAll } from "./detach.js";
import { hasShadowStack, isRunnable, readFacts } from "./facts.js";
import { mapNear, unmap } from "./injection.js";
import { shareMemory, type Sharing } from "./shared-memory.js";
import { guard } from "./sheltering.js";
import { signalCalls } from "./signal-calls.js";
import { type LaunchOptions, launch } from "./launch.js";
import { Tracer } from "./tracer.js";

export interface LinuxOptions {
  /** The buffer of a {@link Doorbell}, for waking {@link LinuxTarget.wait} from another thread. */
  readonly doorbell?: SharedArrayBuffer;
  /**
   * The tracer's process exists for the tracer alone: the scheduling of its other threads may be
   * changed, too. Default: no.
   */
  readonly ownsProcess?: boolean;
  /** Told what the user should know of the target and has not asked for: a sentence each. */
  readonly onNotice?: (text: string) => void;
  /** How memory of the program may be opened here to be shared with it. Default: as can be done. */
  readonly sharing?: readonly Sharing[];
}

/**
 * A Linux process, its threads, and the processes that it starts, by ptrace.
 *
 * All calls must come from the thread that made the object. That thread must have no other target,
 * and no child processes of its own (other threads may): their ends would be taken for ours.
 *
 * After exec by a thread that was not the leader, `thread-gone` is told of all others, the leader
 * included, before `exec`; the thread then has the leader's number and a new {@link RegisterFile}.
 *
 * Needs Linux 5.3 (PTRACE_GET_SYSCALL_INFO).
 */
export class LinuxTarget implements Target {
  readonly capabilities: Capabilities;

  private constructor(
    private readonly tracer: Tracer,
    options: LinuxOptions,
  ) {
    this.capabilities = {
      stepsAlone: true,
      mapNear: (thread, near, length) => mapNear(tracer, tracer.stoppedThread(thread), near, length),
      shareNear: (thread, near, length) =>
        shareMemory(tracer, tracer.stoppedThread(thread), near, length, options.sharing),
      dueSignal: (thread) => dueSignal(tracer, tracer.stoppedThread(thread)),
      dumpsMemory: (thread, signal) => dumpsMemory(tracer.stoppedThread(thread), signal),
      hasShadowStacks: (space) => [...tracer.book.space(space).threads.keys()].some(hasShadowStack),
      unmap: (thread, at, length) => unmap(tracer, tracer.stoppedThread(thread), at, length),
      signalCalls: signalCalls(tracer),
      guard: guard(tracer),
    };
  }

  /**
   * Starts a program and returns with its thread stopped before its first instruction (no stop is
   * reported for that); {@link resume} sets it going.
   * @param argv program, looked up in PATH, and arguments
   * @throws TargetError it cannot be executed or traced
   */
  static launch(argv: readonly string[], options: LinuxOptions & LaunchOptions = {}): LinuxTarget {
    return LinuxTarget.begin(options, (tracer) => launch(tracer, argv, options));
  }

  /**
   * Seizes all threads of a running process, which goes on running.
   * @throws TargetError it cannot be traced
   */
  static attach(pid: number, options: LinuxOptions = {}): LinuxTarget {
    return LinuxTarget.begin(options, (tracer) => attach(tracer, pid));
  }

  private static begin(options: LinuxOptions, start: (tracer: Tracer) => void): LinuxTarget {
    if (process.platform !== "linux" || process.arch !== "x64")
      throw new TargetError(
        `processes can be traced on Linux x86-64 only; this is ${process.platform} ${process.arch}`,
      );
    const tracer = new Tracer(options.doorbell, options.ownsProcess === true, options.onNotice);
    try {
      start(tracer);
    } catch (error) {
      tracer.dispose();
      throw error;
    }
    return new LinuxTarget(tracer, options);
  }

  /** Disposed of, and no thread of it is left for the kernel to let go at the end of the thread that traced it. */
  isLeft = false;

  threads(): Iterable<ThreadId> {
    return this.tracer.book.ids();
  }

  spaceOf(thread: ThreadId): SpaceId {
    return this.tracer.book.get(thread).space.id;
  }

  threadsOf(space: SpaceId): Iterable<ThreadId> {
    return this.tracer.book.threadsOf(space);
  }

  isRunnable(thread: ThreadId): boolean {
    return isRunnable(thread);
  }

  isStopped(thread: ThreadId): boolean {
    return this.tracer.book.get(thread).stopped;
  }

  /** With nothing traced any more it returns undefined at the deadline; at once if there is neither deadline nor doorbell. */
  wait(until: number): Stop | undefined {
    return this.tracer.wait(until);
  }

  resume(thread: ThreadId, how: Resume): void {
    this.tracer.resume(thread, how);
  }

  interrupt(thread: ThreadId): void {
    this.tracer.interrupt(thread);
  }

  registers(id: ThreadId): RegisterFile {
    const thread = this.tracer.stoppedThread(id);
    this.tracer.fetchRegisters(thread);
    return thread.registers;
  }

  memory(space: SpaceId): Memory {
    return this.tracer.book.space(space).memory;
  }

  mappings(space: SpaceId): readonly Mapping[] {
    return this.tracer.book.space(space).memory.mappings();
  }

  facts(thread: ThreadId): ThreadFacts {
    this.tracer.book.get(thread);
    return readFacts(thread);
  }

  disposition(thread: ThreadId, signal: SignalInfo): Disposition {
    return dispositionOf(this.tracer.book.get(thread), signal);
  }

  traceSystemCalls(on: boolean): void {
    this.tracer.traceSystemCalls(on);
  }

  /**
   * Lets all threads go, launched programs too: they run on. Breakpoints must have been taken out
   * before. Takes a second at most, longer only where threads could run and have no processor.
   */
  [Symbol.asyncDispose](): Promise<void> {
    detachAll(this.tracer);
    this.isLeft = this.tracer.book.size === 0;
    this.tracer.dispose();
    return Promise.resolve();
  }
}
