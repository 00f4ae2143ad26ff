import type { SignalCalls } from "../target.js";
import { SYS } from "../system-calls.js";
import { finishMaskCall, followMask } from "./mask-calls.js";
import { answerSigaction } from "./sheltering.js";
import type { Tracer } from "./tracer.js";
import { finishClone, keepChildTraced } from "./untraced-children.js";
import { learnMaskOfRunning } from "./trap-mask.js";

/** The calls that change what becomes of SIGTRAP, make children or execute programs, told before they are made. */
export function signalCalls(tracer: Tracer): SignalCalls {
  return {
    numbers: new Set([
      SYS.rt_sigaction,
      SYS.rt_sigprocmask,
      SYS.rt_sigreturn,
      SYS.clone,
      SYS.clone3,
      SYS.execve,
      SYS.execveat,
    ]),
    begin: (space) => {
      // Those that stand are known; what one that runs did so far nobody told.
      for (const id of tracer.book.threadsOf(space)) {
        const thread = tracer.book.get(id);
        if (!thread.stopped) learnMaskOfRunning(thread);
      }
    },
    about: (id) => {
      const thread = tracer.stoppedThread(id);
      tracer.fetchRegisters(thread);
      // Bits 32 … 63 are not part of the number. arch/x86/entry/syscall_64.c, do_syscall_64.
      const number = Number(BigInt.asIntN(32, thread.registers.read("rax")));
      if (number === SYS.rt_sigaction) {
        answerSigaction(tracer, thread);
        return false;
      }
      followMask(thread, number, true);
      keepChildTraced(thread, number);
      tracer.departures.aboutToCall(thread, number);
      return thread.maskCall !== undefined || thread.cloneCall !== undefined;
    },
    done: (id) => {
      const thread = tracer.stoppedThread(id);
      tracer.fetchRegisters(thread);
      finishMaskCall(thread);
      finishClone(thread, thread.cloneCall);
      thread.cloneCall = undefined;
    },
  };
}
