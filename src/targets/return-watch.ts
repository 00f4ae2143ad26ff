import { type Address, offsetBy } from "../base/address.js";
import type { Memory, ReturnToken } from "./target.js";

/** A watch is given up after so many system calls of the handler: it will hardly return any more. */
const PATIENCE = 10_000;

/** Where rt_sigreturn finds the interrupted registers: `struct ucontext`, asm/sigcontext.h. */
const UCONTEXT_RSP = 160;
const UCONTEXT_RIP = 168;

const frame = new Uint8Array(8 * 2);
const frameView = new DataView(frame.buffer);

interface Watch {
  readonly token: ReturnToken;
  /** The interrupted place. */
  readonly pc: Address;
  readonly sp: Address;
  systemCalls: number;
  /** The handler runs on the interrupted stack, below the interrupted frame; unknown before its first system call. */
  sameStack: boolean | undefined;
}

/** A handler's own frames are not larger than this, where it runs on the interrupted stack. */
const SAME_STACK = 1024 * 1024;

/** `returned` of a watch that has no business at this stop. */
const NONE: ReturnToken = 0;

/**
 * Signal handlers that a thread is in and whose return to the interrupted place is of interest,
 * innermost last. While there are any the thread runs from system call to system call, and each
 * rt_sigreturn is looked at.
 */
export class ReturnWatches {
  private readonly stack: Watch[] = [];
  private arrived: Watch | undefined;

  get active(): boolean {
    return this.stack.length > 0;
  }

  begin(token: ReturnToken, pc: Address, sp: Address): void {
    this.arrived = undefined;
    this.stack.push({ token, pc, sp, systemCalls: 0, sameStack: undefined });
  }

  /**
   * The thread is about to return from a handler, by rt_sigreturn with stack pointer `sp`. Handlers that
   * were left by siglongjmp are still on the stack above the one that returns.
   */
  sigreturn(memory: Memory, frameAt: Address): void {
    if (memory.readSome(offsetBy(frameAt, UCONTEXT_RSP), frame) < frame.length) return;
    const sp = Number(frameView.getBigInt64(0, true)) as Address;
    const pc = Number(frameView.getBigInt64(UCONTEXT_RIP - UCONTEXT_RSP, true)) as Address;
    const index = this.stack.findLastIndex((watch) => watch.pc === pc && watch.sp === sp);
    if (index < 0) return;
    this.arrived = this.stack[index];
    this.stack.length = index;
  }

  /** Some other system call, with this stack pointer. */
  systemCall(sp: Address): void {
    this.arrived = undefined;
    for (const watch of this.stack) {
      watch.systemCalls++;
      watch.sameStack ??= sp <= watch.sp && watch.sp - sp < SAME_STACK;
    }
    // The stack grows down: above the interrupted frame, the handler is no more.
    while (this.stack.length > 0) {
      const watch = this.stack[this.stack.length - 1] as Watch; // length checked
      if (watch.systemCalls < PATIENCE && !(watch.sameStack === true && sp > watch.sp)) return;
      this.stack.pop();
    }
  }

  /** The thread stands at `pc`, and another handler begins before it does anything there: its return is the one. */
  interruptedAgain(pc: Address, sp: Address): void {
    const { arrived } = this;
    this.arrived = undefined;
    if (arrived?.pc === pc && arrived.sp === sp) this.begin(arrived.token, pc, sp);
  }

  /**
   * The thread stopped at a breakpoint at `pc`.
   * @returns the token of the watch whose handler just returned here, or 0
   */
  breakpoint(pc: Address, sp: Address): ReturnToken {
    const arrived = this.arrived;
    this.arrived = undefined;
    if (arrived?.pc === pc && arrived.sp === sp) return arrived.token;
    // Back at the watched place, and not by rt_sigreturn: the handler was left in another way.
    while (this.stack.length > 0) {
      const watch = this.stack[this.stack.length - 1] as Watch; // length checked
      if (watch.pc !== pc || watch.sp !== sp) break;
      this.stack.pop();
    }
    return NONE;
  }

  /** The thread did something else than arrive: what returned, returned elsewhere. */
  clear(): void {
    this.stack.length = 0;
    this.arrived = undefined;
  }
}
