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
const SET_BYTES = 8;

/** First argument of rt_sigprocmask(2). */
const HOW = { block: 0n, unblock: 1n, set: 2n } as const;

/** Where rt_sigreturn finds the mask, from the stack pointer: `uc_sigmask`. asm-generic/ucontext.h, asm/sigcontext.h. */
const UCONTEXT_SIGMASK = 296;

const mask = new SharedBytes(SET_BYTES);
const set = new Uint8Array(SET_BYTES);

/** Reads from the kernel whether a stopped thread blocks SIGTRAP. Not at a stop of a forced SIGTRAP. */
export function learnMask(thread: Thread): void {
  if (ptrace(PTRACE.GETSIGMASK, thread.id, SET_BYTES, mask.address) === 0)
    thread.blocksTrap = ((mask.words[0] as number) & TRAP_BIT) !== 0; // 8 bytes long
}

/** As {@link learnMask}, for a thread that runs. */
export function learnMaskOfRunning(thread: Thread): void {
  try {
    const blocked = BigInt(`0x${statusField(readStatus(thread.id), "SigBlk")}`);
    thread.blocksTrap = (blocked & BigInt(TRAP_BIT)) !== 0n;
  } catch (error) {
    if (!(error instanceof TargetGone)) throw error; // its end is told by itself
  }
}

/** Blocks SIGTRAP again, which the stop of a forced one has unblocked. */
export function putMaskBack(thread: Thread): void {
  if (ptrace(PTRACE.GETSIGMASK, thread.id, SET_BYTES, mask.address) !== 0) return;
  mask.words[0] = (mask.words[0] as number) | TRAP_BIT; // 8 bytes long
  ptrace(PTRACE.SETSIGMASK, thread.id, SET_BYTES, mask.address);
}

/**
 * A thread is about to make a system call; its registers are fetched. What the call cannot read it
 * does not change either, so the result need not be waited for.
 */
export function followMask(thread: Thread, number: number): void {
  const { registers } = thread;
  if (number === SYS.rt_sigreturn) {
    const blocked = trapIn(thread, offsetBy(registers.sp, UCONTEXT_SIGMASK));
    if (blocked !== undefined) thread.blocksTrap = blocked;
    return;
  }
  if (number !== SYS.rt_sigprocmask || registers.read("r10") !== BigInt(SET_BYTES)) return;
  const at = addressOf(registers.read("rsi"));
  if (at === undefined || at === 0) return;
  const named = trapIn(thread, at);
  if (named === undefined) return;
  switch (BigInt.asUintN(32, registers.read("rdi"))) {
    case HOW.set:
      thread.blocksTrap = named;
      return;
    case HOW.block:
      if (named) thread.blocksTrap = true;
      return;
    case HOW.unblock:
      if (named) thread.blocksTrap = false;
      return;
    default:
      return; // EINVAL
  }
}

/** Whether a signal set in the thread's memory has SIGTRAP; undefined where it cannot be read. */
function trapIn(thread: Thread, at: Address): boolean | undefined {
  if (thread.space.memory.readSome(at, set) < SET_BYTES) return undefined;
  return ((set[0] as number) & TRAP_BIT) !== 0; // 8 bytes long
}
