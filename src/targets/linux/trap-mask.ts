import type { Address } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import { SharedBytes } from "./kernel.js";
import { readStatus, statusField } from "./process-files.js";
import { PTRACE, ptrace } from "./ptrace.js";
import { SIG } from "./signals.js";
import type { Thread } from "./threads.js";

/*
 * A breakpoint's trap is forced on a thread: where it blocks SIGTRAP, the kernel unblocks the signal before
 * anybody sees the stop, resets its action for the whole process (force_sig_info_to_task in
 * kernel/signal.c), and nothing tells afterwards that it was blocked. Should the tracer be dead
 * by then, the program dies.
 *
 * So a thread that wants SIGTRAP blocked has it held back instead: the kernel does not block it,
 * the program is told that it does, and one that comes is blocked in earnest, with the signal
 * pending, until the program lets it in. What a program wants is known from the calls that it
 * makes: see mask-calls.ts.
 */

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

const mask = new SharedBytes(SET_BYTES);

function readMask(thread: Thread): boolean {
  return ptrace(PTRACE.GETSIGMASK, thread.id, SET_BYTES, mask.address) === 0;
}

/** Has the kernel block SIGTRAP in a stopped thread, or not. */
export function setTrapBlocked(thread: Thread, blocked: boolean): void {
  if (!readMask(thread)) return;
  const low = mask.words[0] as number; // 8 bytes long
  mask.words[0] = blocked ? low | TRAP_BIT : low & ~TRAP_BIT;
  ptrace(PTRACE.SETSIGMASK, thread.id, SET_BYTES, mask.address);
}

/** Learns from the kernel what a stopped thread blocks. Not at a stop of a forced SIGTRAP. */
export function learnMask(thread: Thread): void {
  if (readMask(thread)) thread.mask.learn(mask.words[0] as number, mask.words[1] as number); // 8 bytes long
}

/** As {@link learnMask}, for a thread that runs. */
export function learnMaskOfRunning(thread: Thread): void {
  try {
    const blocked = BigInt(`0x${statusField(readStatus(thread.id), "SigBlk")}`);
    thread.mask.learn(Number(BigInt.asIntN(32, blocked)), Number(BigInt.asIntN(32, blocked >> 32n)));
  } catch (error) {
    if (!(error instanceof TargetGone)) throw error; // its end is told by itself
  }
}

/**
 * At the stop of a forced SIGTRAP, in a thread that was believed to block the signal in earnest.
 * The kernel has unblocked it, and so it stays, held back. Its registers are fetched.
 */
export function holdTrapBack(thread: Thread): void {
  if (!readMask(thread)) return;
  const [low, high] = [mask.words[0] as number, mask.words[1] as number]; // 8 bytes long
  const believed = thread.mask;
  believed.leave(thread.registers.sp);
  // Otherwise not what is believed: it was changed in a way that nobody told of, SIGTRAP perhaps with it.
  if ((believed.low | TRAP_BIT) !== (low | TRAP_BIT) || believed.high !== high)
    believed.become(low, high, false);
  believed.held = believed.blocksTrap;
}
