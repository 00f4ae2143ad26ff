import type { Address } from "../../base/address.js";
import { SIG } from "../signals.js";

/** The bit of SIGTRAP in the first word of a signal set. */
export const TRAP_BIT = 1 << (SIG.TRAP - 1);
export const SET_BYTES = 8;

/** A handler's own frames are not larger than this. */
const HANDLER_STACK = 8 * 2 ** 20;
/** More handlers than a sane program nests. */
const MOST_OUTER = 64;

/** What a thread blocks, as the program would see it without us. Two words: signals 1 … 32, 33 … 64. */
export class TrapMask {
  low = 0;
  high = 0;
  /** SIGTRAP is blocked for the program, but not in the kernel. */
  held = false;
  /** Handlers that the thread is in, as far as is known; innermost last. */
  private readonly outer: Interruption[] = [];

  get blocksTrap(): boolean {
    return (this.low & TRAP_BIT) !== 0;
  }

  /** The kernel blocks SIGTRAP: a breakpoint does harm. */
  get inEarnest(): boolean {
    return this.blocksTrap && !this.held;
  }

  /** @param held whether SIGTRAP, if it is among them, is held back only */
  become(low: number, high: number, held: boolean): void {
    this.low = low;
    this.high = high;
    this.held = held && this.blocksTrap;
  }

  /** SIGTRAP is not blocked any more, neither for the program nor in the kernel. */
  letTrapIn(): void {
    this.become(this.low & ~TRAP_BIT, this.high, false);
  }

  copyFrom(other: TrapMask): void {
    this.become(other.low, other.high, other.held);
  }

  /** The kernel says what is blocked: what is held back is blocked, too. */
  learn(low: number, high: number): void {
    const really = (low & TRAP_BIT) !== 0;
    this.become(this.held ? low | TRAP_BIT : low, high, this.held && !really);
  }

  /** A handler begins, with this stack pointer; what it blocks is learned next. */
  enter(sp: Address): void {
    this.outer.push({ low: this.low, high: this.high, sp });
    if (this.outer.length > MOST_OUTER) this.outer.shift();
  }

  /**
   * The thread has this stack pointer now: handlers that were above it have returned, in a way
   * that nobody told of. The kernel blocks what their frames said.
   */
  leave(sp: Address): void {
    for (;;) {
      const inner = this.outer.at(-1);
      // At its rt_sigreturn the return address is off the stack.
      if (inner === undefined || (sp <= inner.sp + 8 && inner.sp - sp < HANDLER_STACK)) return;
      this.outer.pop();
      this.become(inner.low, inner.high, false);
    }
  }
}

/** A handler that interrupted something. */
interface Interruption {
  /** What was blocked before. */
  readonly low: number;
  readonly high: number;
  /** Stack pointer at its first instruction. */
  readonly sp: Address;
}

/** What is to be put right behind a call that was changed. */
export interface MaskCall {
  /** The program's second argument. */
  readonly given: bigint;
  /** Where the former mask goes, if it is wanted, and lacks the SIGTRAP that is held back. */
  readonly former: Address | undefined;
}
