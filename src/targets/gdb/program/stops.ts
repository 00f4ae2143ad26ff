import type { Address } from "../../../base/address.js";
import { TargetError } from "../../../base/errors.js";
import { signalName } from "../../signals.js";
import type { SignalInfo, SpaceId, Stop, ThreadId } from "../../target.js";
import type { GdbClient } from "../protocol/client.js";
import { linuxSignal, STUB_SIGNAL } from "../protocol/signals.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { StubThread } from "../protocol/thread-ids.js";
import type { StubBreakpoints } from "./breakpoints.js";
import type { CaughtCalls } from "./calls.js";
import { readSignal } from "./siginfo.js";
import type { ProgramSpaces } from "./spaces.js";
import type { ThreadRegisters } from "./thread-registers.js";
import { type ProgramThread, type ProgramThreads, setGoing } from "./threads.js";

const INT3 = 0xcc;

type Stopped = Extract<StopReply, { kind: "stopped" }>;

/** What a stop is made of. */
interface Parts {
  readonly client: GdbClient;
  readonly threads: ProgramThreads;
  readonly spaces: ProgramSpaces;
  readonly values: ThreadRegisters;
  readonly breakpoints: StubBreakpoints;
  readonly calls: CaughtCalls;
}

/**
 * Makes stops of what the stub tells. What is of no interest to anybody goes on at once.
 */
export class ProgramStops {
  /** Stops that came while something else was waited for, and ends of several threads at once. */
  private readonly ready: Stop[] = [];

  constructor(private readonly parts: Parts) {}

  /** To be told before any other. */
  put(stop: Stop): void {
    this.ready.push(stop);
  }

  take(): Stop | undefined {
    return this.ready.shift();
  }

  /** @returns undefined where it is none; others may be there to {@link take} */
  translate(reply: StopReply): Stop | undefined {
    switch (reply.kind) {
      case "exited":
        return this.processEnded(reply.process, { kind: "exited", status: reply.status });
      case "killed": {
        const number = linuxSignal(reply.signal) ?? reply.signal;
        const signal = signalName(number);
        return this.processEnded(reply.process, { kind: "killed", signal, number, coreDumped: false });
      }
      case "thread-exited": {
        const thread = this.parts.threads.find(reply.thread);
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
      throw new TargetError(`${this.parts.client.name}: the stub told a stop without a thread`);
    const thread = this.parts.threads.find(reply.thread) ?? this.discover(reply.thread);
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
        setGoing(this.parts.client, thread, "continue");
        return undefined;
      case "watch":
      case "rwatch":
      case "awatch":
      case undefined:
        return this.signalled(thread, reply.signal, stepping);
    }
  }

  private atBreakpoint(thread: ProgramThread, reply: Stopped): Stop | undefined {
    const at = this.parts.values.programCounter(thread, reply);
    if (this.isOfOthers(thread, at)) {
      if (thread.interruptAsked) {
        thread.interruptAsked = false;
        return { kind: "interrupted", thread: thread.id };
      }
      this.parts.values.flush(thread);
      setGoing(this.parts.client, thread, "continue");
      return undefined;
    }
    thread.atBreakpoint = true;
    thread.interruptAsked = false;
    const returned = this.parts.calls.arrived(thread, at, this.parts.values.stackPointer(thread, reply));
    return { kind: "breakpoint", thread: thread.id, at, returned };
  }

  /** Left behind by a tracer that was killed; or of ours, and taken out since it was hit. */
  private isOfOthers(thread: ProgramThread, at: Address): boolean {
    if (this.parts.breakpoints.has(at)) return false;
    const memory = this.parts.spaces.memory(thread.space);
    this.parts.values.fetch(thread);
    const byte = new Uint8Array(1);
    // Where it can be seen it is an int3 of the program's own, or of a slot.
    if (memory.readSome(at, byte) === 1 && byte[0] === INT3) {
      thread.fetched = false;
      return false;
    }
    this.parts.breakpoints.remove(thread.space, at);
    return true;
  }

  private signalled(thread: ProgramThread, signal: number, stepping: boolean): Stop | undefined {
    if (signal === STUB_SIGNAL.none) {
      if (!thread.interruptAsked) {
        setGoing(this.parts.client, thread, stepping ? "step" : "continue");
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
    if (phase === "entry") this.parts.calls.entered(thread, number, this.parts.spaces.memory(thread.space));
    if (this.parts.calls.tracing) return { kind: "system-call", thread: thread.id, phase, number };
    setGoing(this.parts.client, thread, "continue");
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
    const child = this.parts.threads.find(stub) ?? this.parts.threads.add(stub, space);
    child.state = "stopped";
    setGoing(this.parts.client, parent, "continue");
    return this.begins(child, child.space, space === undefined ? parent.space : undefined, parent.id, true);
  }

  private executed(thread: ProgramThread): Stop {
    // What the program was before, and its other threads, are gone.
    for (const other of this.parts.threads.ofProcess(thread.process)) {
      this.drop(other);
      if (other !== thread)
        this.ready.push({
          kind: "thread-gone",
          thread: other.id,
          space: other.space,
          processExit: undefined,
        });
    }
    const now = this.parts.threads.add(thread.stub, undefined);
    now.state = "stopped";
    this.ready.push({ kind: "exec", thread: now.id, former: thread.id, space: now.space });
    // At least that one.
    return this.ready.shift() as Stop;
  }

  private processEnded(
    process: number | undefined,
    processExit: Extract<Stop, { kind: "thread-gone" }>["processExit"],
  ): Stop | undefined {
    const threads =
      process === undefined ? [...this.parts.threads.all()] : this.parts.threads.ofProcess(process);
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
    return this.parts.threads.add(stub, this.parts.threads.spaceOf(stub.process ?? stub.thread));
  }

  private mainOf(thread: ProgramThread): ThreadId {
    const other = this.parts.threads.ofProcess(thread.process).find((each) => each !== thread);
    return other?.id ?? thread.id;
  }

  private drop(thread: ProgramThread): void {
    this.parts.calls.forget(thread);
    this.parts.threads.remove(thread);
    this.parts.client.ids.forget(thread.stub);
    if (this.parts.threads.ofSpace(thread.space).length === 0) this.parts.spaces.forget(thread.space);
  }

  /** The signal that a thread stopped with. @param signal GDB's number */
  signalOf(thread: ProgramThread, signal: number): SignalInfo {
    this.parts.values.select(thread);
    return readSignal(this.parts.client, signal);
  }
}
