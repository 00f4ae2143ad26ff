import { SharedBytes } from "../system-calls.js";
import { PTRACE, ptrace } from "./ptrace.js";
import { SIG, SIGINFO_BYTES } from "../signals.js";
import type { Thread } from "./threads.js";

/** Entries of a queue of signals that are looked at in one go. */
const AT_ONCE = 8;

/** `struct ptrace_peeksiginfo_args`: offset, flags (0: the thread's own queue), number. ptrace(2). */
const request = new SharedBytes(16);
const entries = new SharedBytes(AT_ONCE * SIGINFO_BYTES);

/**
 * Whether a stopped thread has executed a breakpoint, or made a step, and that was not told yet: asked
 * to stop at that very instruction it stops for our sake first (`get_signal` in kernel/signal.c looks at
 * requests to stop before it takes signals). Its program counter is no place to leave it at then.
 */
export function hasPendingTrap(thread: Thread): boolean {
  for (let offset = 0; ; offset += AT_ONCE) {
    request.view.setBigUint64(0, BigInt(offset), true);
    request.view.setInt32(12, AT_ONCE, true);
    const count = ptrace(PTRACE.PEEKSIGINFO, thread.id, request.address, entries.address);
    for (let index = 0; index < count; index++) {
      const at = index * SIGINFO_BYTES;
      if (entries.view.getInt32(at, true) === SIG.TRAP && entries.view.getInt32(at + 8, true) > 0)
        return true;
    }
    if (count < AT_ONCE) return false; // an error, too: it was killed, which is told by itself
  }
}
