import { type Address, offsetBy } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import type { Resume, ReturnToken, Stop, ThreadId } from "../target.js";
import { phaseOfCall, watchCall } from "./call-stops.js";
import { Departures } from "./departures.js";
import { hasPendingTrap } from "./pending-trap.js";
import { readFacts } from "./facts.js";
import { ERRNO, SharedBytes, errorName } from "../system-calls.js";
import { type Early, adoptOrphans } from "./orphans.js";
import { PTRACE, PTRACE_EVENT, SYSTEM_CALL_STOP, ptrace } from "./ptrace.js";
import { restartInterrupted } from "./restart.js";
import { ReturnWatches } from "../return-watch.js";
import { Scheduling } from "./scheduling.js";
import { SIG, SI, codeOf, decodeSignal, isStopSignal, setAddress, signalOf } from "../signals.js";
import { sayLost } from "./set-user-id.js";
import { buildShelter, passOnTrap, wantsShelter } from "./sheltering.js";
import { Starter } from "./starter.js";
import { StatusQueue } from "./status-queue.js";
import type { Tracing } from "./tracing.js";
import { type Space, type Thread, ThreadBook } from "./threads.js";
import { isCaught, sharesMemory } from "./kinship.js";
import { followMask, maskHandler } from "./mask-calls.js";
import { learnMask } from "./trap-mask.js";
import { exitStatus, isStopped, stopEvent, stopSignal } from "./wait-status.js";
import {
  goesBack,
  isRaised,
  putPendingBack,
  repairTrap,
  mayBeMistaken,
  rewindIfTrapped,
  setBefore,
  standsForBreakpoint,
} from "./trap-stops.js";
import { finishClone, keepChildTraced } from "./untraced-children.js";
import { Waiter } from "./waiter.js";

/** The only stop of a hot path: one object, refilled. */
interface BreakpointStop {
  readonly kind: "breakpoint";
  thread: ThreadId;
  at: Address;
  returned: ReturnToken;
}

/** So many stops in a row may come from one thread before the others are looked for. */
const FAIR_AFTER = 16;

/** `si_code` of the siginfo of an exit stop. ptrace(2), PTRACE_EVENT stops. */
const EXIT_STOP_CODE = (PTRACE_EVENT.EXIT << 8) | SIG.TRAP;

/**
 * Owns ptrace: turns wait statuses into stops, and sets threads going again. What is only ptrace's
 * own (group stops, events of parents, watched returns) happens here and is not reported.
 */
export class Tracer implements Tracing {
  readonly book = new ThreadBook();
  readonly waiter: Waiter;
  private readonly ready: Stop[] = [];
  /** Wait statuses that were collected, or met while one thread alone was waited for. */
  readonly pending = new StatusQueue();
  private lastThread = 0;
  private inARow = 0;
  /** First stops of threads whose creator's event has not come yet, and ends of such threads. */
  private readonly early: Early = new Map();
  private readonly breakpoint: BreakpointStop = {
    kind: "breakpoint",
    thread: 0 as ThreadId,
    at: 0 as Address,
    returned: 0,
  };
  readonly departures = new Departures(this);
  private readonly message = new SharedBytes(8);
  private readonly siginfo: SharedBytes;
  private readonly scheduling: Scheduling;
  private readonly starter = new Starter();
  private tracingCalls = false;

  constructor(
    doorbell: SharedArrayBuffer | undefined,
    ownsProcess: boolean,
    private readonly onNotice?: (text: string) => void,
  ) {
    this.waiter = new Waiter(doorbell);
    this.siginfo = this.waiter.siginfo;
    this.scheduling = new Scheduling(this.waiter.bell, ownsProcess);
  }

  /** @param until as {@link Target.wait} */
  wait(until: number): Stop | undefined {
    const stop = this.ready.shift();
    if (stop !== undefined) return stop;
    if (this.waiter.isOver(until)) return undefined;
    for (;;) {
      let next: Stop | undefined;
      if (this.pending.shift()) {
        this.waiter.fetched = false;
        next = this.interpret(this.pending.thread as ThreadId, this.pending.status);
      } else {
        this.takeLast();
        if (this.waiter.wait(until) !== "stop") return undefined;
        this.beFair();
        next = this.interpret(this.waiter.thread as ThreadId, this.waiter.status);
      }
      if (next !== undefined) return next;
      if (this.waiter.isOver(until)) return undefined;
    }
  }

  /**
   * Of several threads that stand the kernel reports the one that was attached to first: hitting
   * in dense succession it would keep us from ever seeing the others. So all that stand now are
   * collected, and have their turn before it.
   */
  private beFair(): void {
    if (this.book.size === 1) return;
    const thread = this.waiter.thread;
    if (thread === this.lastThread && ++this.inARow < FAIR_AFTER) return;
    this.lastThread = thread;
    this.inARow = 0;
    const { waiter } = this;
    rewindIfTrapped(this.book.find(thread as ThreadId), waiter.status);
    this.takeSeen();
    if (this.book.find(thread as ThreadId)?.rewound === true) waiter.fetched = false;
    while (waiter.look()) {
      rewindIfTrapped(this.book.find(waiter.polledThread as ThreadId), waiter.polledStatus);
      if (waiter.takePolled()) this.pending.push(waiter.polledThread, waiter.polledStatus);
    }
  }

  /** The stop that was told last is taken, if its thread was not set going: others are waited for now. */
  private takeLast(): void {
    const thread = this.book.find(this.waiter.untaken as ThreadId);
    if (thread?.trapped === true) this.takeBefore(thread);
    else this.takeSeen();
  }

  /** Sets a thread before its breakpoint and takes its stop, in this order: should we die now, it comes there again. */
  private takeBefore(thread: Thread): void {
    setBefore(thread);
    if (this.waiter.untaken === thread.id) this.takeSeen();
  }

  notice(text: string): void {
    this.onNotice?.(text);
  }

  /** What was taken in place of the stop that was seen has its turn. */
  private takeSeen(): number {
    const { waiter } = this;
    const thread = waiter.take();
    if (thread !== 0 && waiter.takenStatus !== waiter.status) this.pending.push(thread, waiter.takenStatus);
    return thread;
  }

  goes(thread: Thread): void {
    this.waiter.goes(thread.id);
  }

  dealWith(id: ThreadId, status: number): void {
    this.waiter.fetched = false;
    const stop = this.interpret(id, status);
    if (stop !== undefined) this.later({ ...stop });
  }

  setGoing(thread: Thread): void {
    this.goOn(thread);
  }

  /** Reports a stop at the next wait. */
  later(stop: Stop): void {
    this.ready.push(stop);
  }

  resume(id: ThreadId, how: Resume): void {
    const thread = this.stoppedThread(id);
    switch (how.kind) {
      case "continue":
        if (thread.leaves) return this.departures.letGo(thread);
        return this.go(thread, this.usualRequest(thread), 0);
      case "step":
        return this.go(thread, PTRACE.SINGLESTEP, 0);
      case "deliver": {
        const signal = thread.pendingSignal === SIG.TRAP ? passOnTrap(this, thread) : thread.pendingSignal;
        if (how.address !== undefined) this.changeAddress(thread, how.address);
        const caught = signal !== 0 && isCaught(thread.id, signal);
        // No handler runs: a step that was under way goes on behind it.
        if (!caught) return this.goOn(thread, signal);
        this.fetchRegisters(thread);
        const { pc, sp } = thread.registers;
        thread.watches?.interruptedAgain(pc, sp);
        if (how.watch !== undefined && how.watch !== 0)
          (thread.watches ??= new ReturnWatches()).begin(how.watch, pc, sp);
        // What the handler blocks is known when it begins, and nowhere else.
        thread.entering = true;
        thread.mask.leave(sp);
        return this.go(thread, PTRACE.SINGLESTEP, signal);
      }
      case "in-place":
        throw new RangeError("threads of a process execute displaced instructions in slots");
    }
  }

  interrupt(id: ThreadId): void {
    const thread = this.book.get(id);
    if (thread.stopped || thread.interruptAsked) return;
    thread.interruptAsked = true;
    this.askToStop(thread);
  }

  traceSystemCalls(on: boolean): void {
    this.tracingCalls = on;
    // Running threads learn it by a stop that is not reported; stopped ones when they are resumed.
    for (const thread of this.book.all())
      if (!thread.stopped && !thread.interruptAsked) this.askToStop(thread);
  }

  /** Registers of a stopped thread, fetched if they were not. */
  fetchRegisters(thread: Thread): void {
    if (thread.registersValid) return;
    this.check(thread, ptrace(PTRACE.GETREGS, thread.id, 0, thread.registersAddress));
    thread.noteFetched();
    if (thread.rewound) thread.registers.pc = offsetBy(thread.registers.pc, 1);
  }

  /** Puts registers that were written in place. */
  storeRegisters(thread: Thread): void {
    if (!thread.registers.dirty) return;
    if (thread.trapped) this.takeBefore(thread);
    this.check(thread, ptrace(PTRACE.SETREGS, thread.id, 0, thread.registersAddress));
    thread.registers.dirty = false;
  }

  stoppedThread(id: ThreadId): Thread {
    const thread = this.book.get(id);
    if (!thread.stopped) throw new Error(`thread ${id} is not stopped`);
    return thread;
  }

  /** A call about a stopped thread came back. @throws TargetGone it was killed meanwhile */
  check(thread: Thread, result: number): void {
    if (result >= 0) return;
    if (result === -ERRNO.ESRCH) throw new TargetGone(`thread ${thread.id} is gone`);
    throw new Error(`ptrace on thread ${thread.id}: ${errorName(result)}`);
  }

  private askToStop(thread: Thread): void {
    thread.disturbed = true;
    const result = ptrace(PTRACE.INTERRUPT, thread.id);
    // ESRCH: it is ending, which its own stop will say.
    if (result < 0 && result !== -ERRNO.ESRCH) this.check(thread, result);
  }

  private usualRequest(thread: Thread): number {
    if (thread.groupStopped) return PTRACE.LISTEN;
    return this.tracingCalls || thread.watches?.active === true || thread.execFrom !== undefined
      ? PTRACE.SYSCALL
      : PTRACE.CONT;
  }

  private go(thread: Thread, request: number, signal: number): void {
    thread.stopped = false;
    thread.registersValid = false;
    thread.pendingSignal = 0;
    thread.atCallEntry = false;
    thread.groupStopped = false;
    if (request !== PTRACE.LISTEN) thread.going = request;
    if (thread.registers.dirty && mayBeMistaken(thread)) this.takeBefore(thread);
    this.waiter.goes(thread.id);
    const result = thread.registers.dirty
      ? this.starter.start(thread, request, signal)
      : ptrace(request, thread.id, 0, signal);
    thread.trapped = false;
    thread.rewound = false;
    // ESRCH: it was killed while it stood; the end comes through wait.
    if (result < 0 && result !== -ERRNO.ESRCH) this.check(thread, result);
  }

  /** Sets a thread going again whose stop is nobody's business, as it was going before. */
  private goOn(thread: Thread, signal = 0): void {
    const stepping = thread.going === PTRACE.SINGLESTEP && !thread.groupStopped;
    this.go(thread, stepping ? PTRACE.SINGLESTEP : this.usualRequest(thread), signal);
  }

  private changeAddress(thread: Thread, address: bigint): void {
    this.fetchSiginfo(thread);
    setAddress(this.siginfo.view, address);
    this.check(thread, ptrace(PTRACE.SETSIGINFO, thread.id, 0, this.siginfo.address));
  }

  private fetchSiginfo(thread: Thread): void {
    this.check(thread, ptrace(PTRACE.GETSIGINFO, thread.id, 0, this.siginfo.address));
  }

  /** A wait status becomes a stop, or is dealt with here. */
  private interpret(id: ThreadId, status: number): Stop | undefined {
    const thread = this.book.find(id);
    if (thread === undefined) {
      if (this.departures.has(id)) return this.departures.endOf(id, status);
      this.noteStranger(id, status);
      return undefined;
    }
    if (!isStopped(status)) return this.ended(thread, status);
    thread.stopped = true;
    thread.registersValid = false;
    if (this.waiter.fetched) thread.noteFetched();
    this.scheduling.stopped(thread.process, id);
    try {
      return this.readStop(thread, stopSignal(status), stopEvent(status));
    } catch (error) {
      // Killed between its stop and our look at it: its end follows.
      if (!(error instanceof TargetGone)) throw error;
      thread.stopped = false;
      return undefined;
    }
  }

  /** A thread whose creator's event was not told yet, and never will be where its creator was killed. */
  private noteStranger(id: ThreadId, status: number): void {
    const stopped = isStopped(status);
    const ends = stopped && stopEvent(status) === PTRACE_EVENT.EXIT;
    // On its way out it must not stand: the leader of its group could not end before it.
    if (ends) ptrace(PTRACE.CONT, id);
    this.early.set(id, stopped && !ends ? "stopped" : "gone");
  }

  private readStop(thread: Thread, signal: number, event: number): Stop | undefined {
    switch (event) {
      case PTRACE_EVENT.NONE:
        return signal === (SIG.TRAP | SYSTEM_CALL_STOP)
          ? this.systemCallStop(thread)
          : this.signalStop(thread, signal);
      case PTRACE_EVENT.FORK:
      case PTRACE_EVENT.VFORK:
      case PTRACE_EVENT.CLONE:
        return this.childCreated(thread);
      case PTRACE_EVENT.EXEC:
        return this.executed(thread);
      case PTRACE_EVENT.EXIT:
        thread.interruptAsked = false;
        thread.ending = true;
        return { kind: "thread-exiting", thread: thread.id };
      case PTRACE_EVENT.STOP:
        return this.eventStop(thread, signal);
      default:
        this.goOn(thread);
        return undefined;
    }
  }

  private signalStop(thread: Thread, signal: number): Stop | undefined {
    if (!this.waiter.fetched) this.fetchSiginfo(thread);
    const code = codeOf(this.siginfo.view);
    // Killed since, it stands at its exit already: that stop will be told by itself.
    if (signalOf(this.siginfo.view) !== signal || code === EXIT_STOP_CODE)
      throw new TargetGone(`thread ${thread.id} is ending`);
    const entering = thread.entering;
    thread.entering = false;
    if (signal === SIG.TRAP && code === SIG.TRAP && entering) {
      this.fetchRegisters(thread);
      maskHandler(thread);
      thread.going = PTRACE.CONT;
      this.goOn(thread);
      return undefined;
    }
    thread.pendingSignal = signal;
    thread.interruptAsked = false;
    this.waiter.expect(thread);
    this.fetchRegisters(thread);
    const stepping = thread.going === PTRACE.SINGLESTEP;
    const forced = signal === SIG.TRAP && code > 0 && ((stepping && code !== SI.KERNEL) || isRaised(thread));
    if (!forced) {
      thread.mask.leave(thread.registers.sp);
      if (signal === SIG.TRAP && goesBack(thread)) {
        this.goOn(thread, SIG.TRAP);
        return undefined;
      }
      if (signal === SIG.TRAP && standsForBreakpoint(thread)) {
        putPendingBack(this, thread);
        return this.breakpointStop(thread);
      }
      learnMask(thread);
    } else if (thread.mask.inEarnest) repairTrap(this, thread, code === SI.KERNEL);
    if (forced && code === SI.KERNEL) {
      const stop = this.breakpointStop(thread);
      thread.space.noteRunning();
      if (wantsShelter(thread.space)) buildShelter(this, thread);
      return stop;
    }
    if (forced && stepping) {
      thread.going = PTRACE.CONT;
      return { kind: "step", thread: thread.id };
    }
    return { kind: "signal", thread: thread.id, signal: decodeSignal(signal, this.siginfo.view) };
  }

  private breakpointStop(thread: Thread): Stop {
    const at = offsetBy(thread.registers.pc, -1);
    thread.trapped = true;
    thread.trappedAt = thread.registers.pc;
    const stop = this.breakpoint;
    stop.thread = thread.id;
    stop.at = at;
    stop.returned = thread.watches === undefined ? 0 : thread.watches.breakpoint(at, thread.registers.sp);
    return stop;
  }

  private systemCallStop(thread: Thread): Stop | undefined {
    const entry = phaseOfCall(this, thread) === "entry";
    if (!entry && thread.execFrom !== undefined) {
      const former = thread.execFrom;
      thread.execFrom = undefined;
      learnMask(thread);
      const lost = sayLost(thread);
      if (lost !== undefined) this.notice(lost);
      return { kind: "exec", thread: thread.id, former, space: thread.space.id };
    }
    this.fetchRegisters(thread);
    // Bits 32 … 63 are not part of the number. arch/x86/entry/syscall_64.c, do_syscall_64.
    const number = Number(BigInt.asIntN(32, thread.registers.read("orig_rax")));
    if (entry) thread.systemCall = number;
    if (entry && thread.maskCall === undefined) followMask(thread, number, false);
    if (entry) watchCall(thread, number);
    if (entry) keepChildTraced(thread, number);
    if (entry && this.tracingCalls) this.departures.aboutToCall(thread, number);
    else finishClone(thread, thread.cloneCall);
    if (!entry) thread.cloneCall = undefined;
    if (!this.tracingCalls) {
      this.goOn(thread);
      return undefined;
    }
    thread.interruptAsked = false;
    thread.atCallEntry = entry;
    return {
      kind: "system-call",
      thread: thread.id,
      phase: entry ? "entry" : "exit",
      number: entry ? number : thread.systemCall,
    };
  }

  /** PTRACE_EVENT_STOP: a job-control stop, its end, an interrupt, or a new thread's first stop. */
  private eventStop(thread: Thread, signal: number): Stop | undefined {
    thread.groupStopped = isStopSignal(signal);
    learnMask(thread);
    if (thread.starting !== undefined) return this.started(thread);
    const disturbed = thread.disturbed;
    if (disturbed && !thread.groupStopped && hasPendingTrap(thread)) {
      // A stop as good as any, and one at which the thread may be left: it comes at once.
      this.goOn(thread);
      return undefined;
    }
    thread.disturbed = false;
    if (disturbed && !thread.groupStopped) {
      this.fetchRegisters(thread);
      restartInterrupted(thread.id, thread.registers);
    }
    if (disturbed && !thread.groupStopped && wantsShelter(thread.space)) {
      this.storeRegisters(thread);
      buildShelter(this, thread);
    }
    if (!thread.interruptAsked) {
      this.goOn(thread);
      return undefined;
    }
    thread.interruptAsked = false;
    return { kind: "interrupted", thread: thread.id };
  }

  private childCreated(parent: Thread): Stop | undefined {
    this.check(parent, ptrace(PTRACE.GETEVENTMSG, parent.id, 0, this.message.address));
    const id = this.message.words[0] as number as ThreadId; // 8 bytes long
    const early = this.early.get(id);
    this.early.delete(id);
    let stop: Stop | undefined;
    if (early !== "gone") stop = this.addChild(parent, id, early === "stopped");
    this.goOn(parent);
    return stop;
  }

  private addChild(parent: Thread, id: ThreadId, stopped: boolean): Stop | undefined {
    let process: number;
    let space: Space;
    try {
      process = readFacts(id).process;
      space = sharesMemory(parent.id, id) ? parent.space : this.book.newSpace();
    } catch (error) {
      if (!(error instanceof TargetGone)) throw error;
      // Killed before it ran; its end comes through wait, for nobody.
      process = id;
      space = parent.space;
    }
    const child = this.book.add(id, process, space);
    child.mask.copyFrom(parent.mask);
    child.starting = {
      parent: parent.id,
      newProcess: process === id,
      copyOf: space === parent.space ? undefined : parent.space.id,
      cloneCall: parent.cloneCall,
    };
    if (!stopped) return undefined;
    child.stopped = true;
    return this.started(child);
  }

  private started(thread: Thread): Stop | undefined {
    const starting = thread.starting;
    if (starting === undefined) return undefined;
    thread.starting = undefined;
    thread.interruptAsked = false;
    if (starting.copyOf !== undefined)
      thread.space.shelter = this.book
        .find(starting.parent)
        ?.space.shelter?.copy(thread.space.memory, thread.process);
    thread.space.stub ??= thread.space.shelter?.stub;
    const { cloneCall, parent, newProcess, copyOf } = starting;
    if (cloneCall !== undefined) this.fetchRegisters(thread);
    finishClone(thread, cloneCall);
    const space = thread.space.id;
    return { kind: "thread-start", thread: thread.id, space, copyOf, parent, newProcess };
  }

  /**
   * A thread has executed a program, and has the TID of its group's leader from now on. The stop
   * is reported at the exit of the system call: only there can registers be changed for good.
   */
  private executed(reported: Thread): Stop | undefined {
    this.check(reported, ptrace(PTRACE.GETEVENTMSG, reported.id, 0, this.message.address));
    const former = this.message.words[0] as number as ThreadId; // 8 bytes long
    for (const other of [...this.book.all()]) {
      if (other.process !== reported.process || other.id === former) continue;
      this.forget(other);
    }
    const before = this.book.find(former);
    const space = this.book.newSpace();
    space.inherited = before?.space.shelter?.inheritedBy(reported.process);
    if (before !== undefined) this.remove(before);
    const thread = this.book.add(reported.id, reported.process, space);
    if (before !== undefined) thread.mask.copyFrom(before.mask);
    thread.stopped = true;
    thread.execFrom = former;
    this.goOn(thread);
    return this.ready.shift();
  }

  /** A thread that exec ended without a word. */
  private forget(thread: Thread): void {
    this.later({ kind: "thread-gone", thread: thread.id, space: thread.space.id, processExit: undefined });
    this.remove(thread);
  }

  private ended(thread: Thread, status: number): Stop {
    this.remove(thread);
    if (this.early.size > 0) adoptOrphans(this, this.early, thread);
    return {
      kind: "thread-gone",
      thread: thread.id,
      space: thread.space.id,
      processExit: thread.id === thread.process ? exitStatus(status) : undefined,
    };
  }

  /** Detaches threads whose creator's event never came: it was killed in between. */
  letStrangersGo(): void {
    for (const [id, seen] of this.early) if (seen === "stopped") ptrace(PTRACE.DETACH, id);
    this.early.clear();
  }

  remove(thread: Thread): void {
    this.waiter.forget(thread);
    this.book.remove(thread);
  }

  dispose(): void {
    this.waiter.expect(undefined);
    this.book.clear();
    this.waiter.dispose();
    this.scheduling.dispose();
  }
}
