import { offsetBy } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import { Patience } from "../patience.js";
import { PTRACE, ptrace } from "./ptrace.js";
import { ERRNO } from "../system-calls.js";
import { isRunnable } from "./facts.js";
import { endShelter } from "./sheltering.js";
import { type Thread, isLastOfProcess } from "./threads.js";
import type { Tracer } from "./tracer.js";
import { setTrapBlocked } from "./trap-mask.js";

const INT3 = 0xcc;

/**
 * Lets all threads go, each as it is: signals that were about to be delivered are, job control
 * stays, and a thread at a breakpoint that was taken away goes back to the instruction.
 *
 * Threads are let go as they stop, never waited for all together: the parent of a vfork cannot
 * stop before its child runs. One that does not stop in time is let go by the kernel when the
 * tracer's thread ends.
 */
export function detachAll(tracer: Tracer): void {
  for (const thread of [...tracer.book.all()]) if (thread.stopped) letGo(tracer, thread);
  for (const thread of tracer.book.all()) if (!thread.stopped) tracer.interrupt(thread.id);
  const patience = new Patience();
  while (tracer.book.size > 0) {
    const stop = tracer.wait(patience.until);
    if (stop === undefined) {
      if (!patience.lasts(() => [...tracer.book.all()].some(({ id }) => isRunnable(id)))) break;
      continue;
    }
    const thread = tracer.book.find(stop.thread);
    if (thread?.stopped === true) letGo(tracer, thread);
  }
  tracer.letStrangersGo();
}

/** The signal that the thread goes on with; where that is due, its program counter is put right. */
function signalToDeliver(tracer: Tracer, thread: Thread): number {
  // A program counter that was changed since the stop is where somebody wants the thread.
  if (!thread.trapped) return thread.pendingSignal;
  return thread.isMoved() || rewindStale(tracer, thread) ? 0 : thread.pendingSignal;
}

/** Puts a thread back before a breakpoint that is no longer there. @returns false where it is the program's own */
function rewindStale(tracer: Tracer, thread: Thread): boolean {
  const byte = new Uint8Array(1);
  tracer.fetchRegisters(thread);
  const at = offsetBy(thread.registers.pc, -1);
  if (thread.space.memory.readSome(at, byte) === 1 && byte[0] === INT3) return false;
  thread.registers.pc = at;
  return true;
}

function letGo(tracer: Tracer, thread: Thread): void {
  try {
    let signal = signalToDeliver(tracer, thread);
    tracer.storeRegisters(thread);
    if (thread.mask.held) setTrapBlocked(thread, true);
    if (isLastOfProcess(tracer.book, thread)) {
      thread.pendingSignal = signal;
      thread.trapped = false;
      // What is to be delivered is pending afterwards: by whichever action, it is the kernel's to deliver.
      endShelter(tracer, thread);
      signal = thread.pendingSignal;
    }
    tracer.waiter.goes(thread.id);
    const result = ptrace(PTRACE.DETACH, thread.id, 0, signal);
    if (result !== -ERRNO.ESRCH) {
      tracer.check(thread, result);
      tracer.remove(thread);
      return;
    }
  } catch (error) {
    if (!(error instanceof TargetGone)) throw error;
  }
  // It was killed meanwhile, and stops once more, at its exit, or is reported gone.
  thread.stopped = false;
}
