import { TargetError } from "../../../base/errors.js";
import { SYS } from "../../system-calls.js";
import { ReturnWatches } from "../../return-watch.js";
import type { Memory, ReturnToken } from "../../target.js";
import type { GdbClient } from "../protocol/client.js";
import type { ProgramThread } from "./threads.js";
import type { ThreadRegisters } from "./thread-registers.js";

/**
 * System calls at which threads stop: all of them where somebody asked, the returns from handlers of signals
 * where one is watched for, else none.
 */
export class CaughtCalls {
  /** Somebody asked for all. */
  tracing = false;
  private watching = 0;
  private caught = "0";

  constructor(
    private readonly client: GdbClient,
    private readonly values: ThreadRegisters,
  ) {}

  /** Somebody before us may have asked for some. */
  forgetLeft(): void {
    this.client.set("QCatchSyscalls:0");
  }

  trace(on: boolean): void {
    this.tracing = on;
    this.update();
  }

  /** The thread is about to run a handler, whose return to where it stands now is of interest. */
  watch(thread: ProgramThread, token: ReturnToken): void {
    this.values.fetch(thread);
    const { pc, sp } = thread.registers;
    if (thread.watches === undefined) {
      thread.watches = new ReturnWatches();
      this.watching++;
    }
    thread.watches.begin(token, pc, sp);
    this.update();
  }

  /** A thread stands before a call. */
  entered(thread: ProgramThread, number: number, memory: Memory): void {
    if (thread.watches?.active !== true) return;
    this.values.fetch(thread);
    const { sp } = thread.registers;
    if (number === SYS.rt_sigreturn) thread.watches.sigreturn(memory, sp);
    else thread.watches.systemCall(sp);
  }

  /** A thread arrived at a breakpoint. @returns see `returned` of a breakpoint's stop */
  arrived(thread: ProgramThread, pc: Parameters<ReturnWatches["breakpoint"]>[0], sp: typeof pc): ReturnToken {
    const { watches } = thread;
    if (watches === undefined) return 0;
    const token = watches.breakpoint(pc, sp);
    if (!watches.active) {
      this.forget(thread);
      this.update();
    }
    return token;
  }

  /** It has ended, or nothing is watched for any more. Asks nothing: the stub may have ended with it. */
  forget(thread: ProgramThread): void {
    if (thread.watches === undefined) return;
    thread.watches = undefined;
    this.watching--;
  }

  private update(): void {
    const wanted = this.tracing ? "1" : this.watching > 0 ? `1;${SYS.rt_sigreturn.toString(16)}` : "0";
    if (wanted === this.caught) return;
    this.caught = wanted;
    if (!this.client.set(`QCatchSyscalls:${wanted}`) && this.tracing)
      throw new TargetError(`${this.client.name}: the stub cannot tell of system calls`);
  }
}
