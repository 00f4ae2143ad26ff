import type { SpaceId, Stop, ThreadId } from "../target.js";
import { readFacts } from "./facts.js";
import { ERRNO, SYS } from "../system-calls.js";
import { PTRACE, ptrace } from "./ptrace.js";
import { whyLetGo } from "./set-user-id.js";
import { leaveIgnored } from "./sheltering.js";
import { type Thread, isLastOfProcess } from "./threads.js";
import type { Tracing } from "./tracing.js";
import { setTrapBlocked } from "./trap-mask.js";
import { exitStatus, isStopped } from "./wait-status.js";

/** Threads that are let go for good while others are traced: those whose tracer would cost them their privileges. */
export class Departures {
  /** Children of ours that were let go, and the spaces that they had. */
  private readonly children = new Map<ThreadId, SpaceId>();

  constructor(private readonly tracer: Tracing) {}

  /** A thread is about to make a system call: where it is one that executes a program, it may have to be let go. */
  aboutToCall(thread: Thread, number: number): void {
    if (number !== SYS.execve && number !== SYS.execveat) return;
    const why = whyLetGo(thread, number, isLastOfProcess(this.tracer.book, thread));
    if (why === undefined) return;
    leaveIgnored(this.tracer, thread);
    thread.leaves = true;
    this.tracer.notice(why);
  }

  /** Lets a thread go that stands. The end of a child of ours is told all the same. */
  letGo(thread: Thread): void {
    const { tracer } = this;
    const { id, space } = thread;
    const isChild = readFacts(id).parentProcess === process.pid;
    tracer.storeRegisters(thread);
    if (thread.mask.held) setTrapBlocked(thread, true);
    tracer.goes(thread);
    thread.stopped = false;
    if (ptrace(PTRACE.DETACH, id) === -ERRNO.ESRCH) return; // killed: its end comes through wait
    tracer.remove(thread);
    if (isChild) this.children.set(id, space.id);
    else tracer.later({ kind: "thread-gone", thread: id, space: space.id, processExit: undefined });
  }

  has(id: ThreadId): boolean {
    return this.children.has(id);
  }

  /** Of a child that was let go. @returns its end, if that is what the status says */
  endOf(id: ThreadId, status: number): Stop | undefined {
    const space = this.children.get(id);
    if (space === undefined || isStopped(status)) return undefined;
    this.children.delete(id);
    return { kind: "thread-gone", thread: id, space, processExit: exitStatus(status) };
  }
}
