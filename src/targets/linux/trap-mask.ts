import { type Address, addressOf, offsetBy } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import { SYS, SharedBytes } from "./kernel.js";
import { readStatus, statusField } from "./process-files.js";
import { PTRACE, ptrace } from "./ptrace.js";
import { SIG } from "./signals.js";
import type { Thread } from "./threads.js";

/*
 * A breakpoint's trap is forced on a thread: where it blocks SIGTRAP, the kernel unblocks the signal before
 * anybody sees the stop (force_sig_info_to_task in kernel/signal.c), and nothing tells afterwards
 * that it was blocked. So it has to be known before. What a thread blocks is read from the kernel
 * wherever that still tells the truth, and the calls that change it are followed in between.
 */

/** The bit of SIGTRAP in the first word of a signal set. */
const TRAP_BIT = 1 << (SIG.TRAP - 1);
const UNBLOCKABLE = (1 << (SIG.KILL - 1)) | (1 << (SIG.STOP - 1));
const SET_BYTES = 8;

/** First argument of rt_sigprocmask(2). */
const HOW = { block: 0n, unblock: 1n, set: 2n } as const;

/** Where rt_sigreturn finds the mask, from the stack pointer: `uc_sigmask`. asm-generic/ucontext.h, asm/sigcontext.h. */
const UCONTEXT_SIGMASK = 296;

/** A handler's own frames are not larger than this. */
const HANDLER_STACK = 8 * 2 ** 20;
/** More handlers than a sane program nests. */
const MOST_OUTER = 64;

const mask = new SharedBytes(SET_BYTES);
const set = new Uint8Array(SET_BYTES);
const setWords = new Int32Array(set.buffer);

/** What a thread blocks, as the program would see it. */
export class TrapMask {
  low = 0;
  high = 0;
  /** Handlers that the thread is in, as far as is known; innermost last. */
  private readonly outer: Interruption[] = [];

  get blocksTrap(): boolean {
    return (this.low & TRAP_BIT) !== 0;
  }

  become(low: number, high: number): void {
    this.low = low;
    this.high = high;
  }

  /** A handler begins, with this stack pointer; what it blocks is learned next. */
  enter(sp: Address): void {
    this.outer.push({ low: this.low, high: this.high, sp });
    if (this.outer.length > MOST_OUTER) this.outer.shift();
  }

  /** The thread has this stack pointer now: handlers that were above it have returned. */
  leave(sp: Address): void {
    for (;;) {
      const inner = this.outer.at(-1);
      // At its rt_sigreturn the return address is off the stack.
      if (inner === undefined || (sp <= inner.sp + 8 && inner.sp - sp < HANDLER_STACK)) return;
      this.outer.pop();
      this.become(inner.low, inner.high);
    }
  }

  block(low: number, high: number): void {
    this.become(this.low | low, this.high | high);
  }

  unblock(low: number, high: number): void {
    this.become(this.low & ~low, this.high & ~high);
  }

  /**
   * At a stop of a forced SIGTRAP, which the mask that is shown has not whatever it was: where it
   * is otherwise not what is believed, it was changed in a way that nobody told of, and SIGTRAP is
   * taken for unblocked.
   */
  settle(low: number, high: number): void {
    if ((this.low | TRAP_BIT) !== (low | TRAP_BIT) || this.high !== high) this.become(low, high);
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

function readMask(thread: Thread): boolean {
  return ptrace(PTRACE.GETSIGMASK, thread.id, SET_BYTES, mask.address) === 0;
}

/** Reads from the kernel what a stopped thread blocks. Not at a stop of a forced SIGTRAP. */
export function learnMask(thread: Thread): void {
  if (readMask(thread)) thread.mask.become(mask.words[0] as number, mask.words[1] as number); // 8 bytes long
}

/** As {@link learnMask}, for a thread that runs. */
export function learnMaskOfRunning(thread: Thread): void {
  try {
    const blocked = BigInt(`0x${statusField(readStatus(thread.id), "SigBlk")}`);
    thread.mask.become(Number(BigInt.asIntN(32, blocked)), Number(BigInt.asIntN(32, blocked >> 32n)));
  } catch (error) {
    if (!(error instanceof TargetGone)) throw error; // its end is told by itself
  }
}

/**
 * At the stop of a forced SIGTRAP, in a thread that is believed to block the signal: blocks it
 * again. Its registers are fetched.
 */
export function putMaskBack(thread: Thread): void {
  if (!readMask(thread)) return;
  thread.mask.leave(thread.registers.sp);
  thread.mask.settle(mask.words[0] as number, mask.words[1] as number); // 8 bytes long
  if (!thread.mask.blocksTrap) return;
  mask.words[0] = (mask.words[0] as number) | TRAP_BIT; // as above
  ptrace(PTRACE.SETSIGMASK, thread.id, SET_BYTES, mask.address);
}

/**
 * A thread is about to make a system call; its registers are fetched. What the call cannot read it
 * does not change either, so the result need not be waited for.
 */
export function followMask(thread: Thread, number: number): void {
  const { registers } = thread;
  if (number !== SYS.rt_sigreturn && number !== SYS.rt_sigprocmask) return;
  // A return is over with its own handler, too.
  thread.mask.leave(number === SYS.rt_sigreturn ? offsetBy(registers.sp, 1) : registers.sp);
  if (number === SYS.rt_sigreturn) {
    if (readSet(thread, offsetBy(registers.sp, UCONTEXT_SIGMASK)))
      thread.mask.become(setWords[0] as number, setWords[1] as number); // 8 bytes long
    return;
  }
  if (registers.read("r10") !== BigInt(SET_BYTES)) return;
  const at = addressOf(registers.read("rsi"));
  if (at === undefined || at === 0) return;
  if (!readSet(thread, at)) return;
  const [low, high] = [setWords[0] as number, setWords[1] as number]; // 8 bytes long
  switch (BigInt.asUintN(32, registers.read("rdi"))) {
    case HOW.set:
      thread.mask.become(low, high);
      return;
    case HOW.block:
      thread.mask.block(low, high);
      return;
    case HOW.unblock:
      thread.mask.unblock(low, high);
      return;
    default:
      return; // EINVAL
  }
}

/** A signal set in the thread's memory, with what cannot be blocked taken out. @returns false where it cannot be read */
function readSet(thread: Thread, at: Address): boolean {
  if (thread.space.memory.readSome(at, set) < SET_BYTES) return false;
  setWords[0] = (setWords[0] as number) & ~UNBLOCKABLE; // 8 bytes long
  return true;
}
