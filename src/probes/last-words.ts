import type { SignalInfo, Target, ThreadId } from "../targets/target.js";
import { TargetGone } from "../base/errors.js";
import { disarmAt } from "./arming.js";
import type { ProbedSpace } from "./space.js";

/** Signals whose default action leaves a core dump. signal(7). */
const DUMPING: ReadonlySet<string> = new Set([
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGSEGV",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGSYS",
]);

/**
 * A thread is about to receive a signal. Where its program dies of it and leaves a core, the text is
 * put right before: pages with breakpoints are private copies, which are dumped.
 *
 * Not where another process shares the memory: that one lives on, and is probed.
 */
export function beforeDeath(target: Target, thread: ThreadId, space: ProbedSpace, signal: SignalInfo): void {
  if (!DUMPING.has(signal.name) || target.disposition(thread, signal) !== "fatal") return;
  const { process } = target.facts(thread);
  for (const other of target.threadsOf(space.id)) {
    const its = processOf(target, other);
    if (its !== undefined && its !== process) return;
  }
  for (const location of space.locations.values()) disarmAt(space, location);
}

function processOf(target: Target, thread: ThreadId): number | undefined {
  try {
    return target.facts(thread).process;
  } catch (error) {
    if (error instanceof TargetGone) return undefined;
    throw error;
  }
}
