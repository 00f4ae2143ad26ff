import type { Disposition, SignalInfo } from "../target.js";
import { readStatus } from "./process-files.js";
import { SIG_IGN } from "./shelter.js";
import { dispositionIn } from "../disposition.js";
import { SIG } from "../signals.js";
import type { Thread } from "./threads.js";

/** Signals whose default action dumps core. signal(7). */
const DUMPING: ReadonlySet<number> = new Set([
  3, // SIGQUIT
  SIG.ILL,
  SIG.TRAP,
  6, // SIGABRT
  SIG.BUS,
  SIG.FPE,
  SIG.SEGV,
  24, // SIGXCPU
  25, // SIGXFSZ
  SIG.SYS,
]);

/**
 * Whether the process of a stopped thread dies when it receives this signal now, with a core dump. By
 * what the kernel has, not by what the program wants: a SIGTRAP that it wants to die of goes through
 * the shelter's handler first. Not where another process shares the memory: that one lives on.
 */
export function dumpsMemory(thread: Thread, signal: SignalInfo): boolean {
  if (!DUMPING.has(signal.number)) return false;
  for (const other of thread.space.threads.values()) if (other.process !== thread.process) return false;
  const status = readStatus(thread.id);
  const bit = 1n << BigInt(signal.number - 1);
  return ["SigCgt", "SigIgn"].every((field) => (status.mask(field) & bit) === 0n);
}

/**
 * What a signal would do to a thread that is about to receive it. A synchronous signal that the
 * program blocks or ignores was given the default action by the kernel before we were told
 * (force_sig_info_to_task in kernel/signal.c), so what the masks now say holds for it too.
 */
export function dispositionOf(thread: Thread, signal: SignalInfo): Disposition {
  const { shelter } = thread.space;
  if (signal.number === SIG.TRAP && shelter?.strayed.has(thread.process) === false) {
    const { handler } = shelter.wishOf(thread.process);
    return handler === 0n ? "fatal" : handler === SIG_IGN ? "ignored" : "handled";
  }
  return dispositionIn(readStatus(thread.id), signal.number);
}
