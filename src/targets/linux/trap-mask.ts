import { TargetGone } from "../../base/errors.js";
import { SharedBytes } from "../system-calls.js";
import { readStatus } from "./process-files.js";
import { PTRACE, ptrace } from "./ptrace.js";
import { SET_BYTES, TRAP_BIT } from "./signal-mask.js";
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
    const blocked = readStatus(thread.id).mask("SigBlk");
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
