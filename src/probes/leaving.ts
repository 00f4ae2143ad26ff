import { ProbeRefused, TargetGone } from "../base/errors.js";
import type { ProbeCore } from "./core.js";
import type { Region } from "./slots.js";
import type { Capabilities, Stop, Target, ThreadId } from "../targets/target.js";

type Unmap = NonNullable<Capabilities["unmap"]>;

/** How long a thread may take to stop; one that sleeps in the kernel for ever must not keep us. */
const PATIENCE = 1000;
/** How long, while one of them only waits for a processor. */
const LONGEST_PATIENCE = 30_000;

/**
 * Takes everything out of the target: text first, so that no new hit begins, then the threads out
 * of the slots, then the slots' memory. Threads that do not stop in time (a vfork parent, D state),
 * and those that may not call munmap (seccomp), keep their slots, which are then only a few pages of
 * unused memory.
 *
 * @param onStop told of stops that are none of the core's: ends of threads, system calls
 */
export function leave(core: ProbeCore, target: Target, onStop: (stop: Stop) => void): void {
  // Each by itself: a process that ends just now must not keep the others' breakpoints in.
  for (const space of core.probedSpaces())
    unlessGone(() => {
      core.restoreText(space);
    });
  stopAll(core, target, onStop);
  const stopped = new Set<ThreadId>();
  for (const thread of target.threads()) {
    unlessGone(() => {
      if (!target.isStopped(thread)) return;
      core.leadOut(thread);
      stopped.add(thread);
    });
  }
  const { unmap } = target.capabilities;
  if (unmap === undefined) return;
  for (const space of core.probedSpaces()) {
    const threads = [...target.threadsOf(space.id)];
    if (!threads.every((thread) => stopped.has(thread))) continue;
    for (const region of space.slots.regions()) unmapByAny(target, unmap, threads, region);
  }
}

/**
 * Threads under a seccomp filter may not be made to unmap, and one may be killed meanwhile: another
 * of the same space may do it. Where none may, the slots stay: nobody runs there any more.
 */
function unmapByAny(target: Target, unmap: Unmap, threads: readonly ThreadId[], region: Region): void {
  for (const thread of threads) {
    if (!target.isStopped(thread)) continue;
    try {
      unmap(thread, region.start, region.end - region.start);
      return;
    } catch (error) {
      if (!(error instanceof ProbeRefused) && !(error instanceof TargetGone)) throw error;
    }
  }
}

function stopAll(core: ProbeCore, target: Target, onStop: (stop: Stop) => void): void {
  const began = performance.now();
  let until = began + PATIENCE;
  let asked = new Set<ThreadId>();
  for (;;) {
    const running = [...target.threads()].filter((thread) => !target.isStopped(thread));
    if (running.length === 0) return;
    for (const thread of running)
      if (!asked.has(thread))
        unlessGone(() => {
          target.interrupt(thread);
        });
    asked = new Set([...asked, ...running]);
    const stop = target.wait(until);
    if (stop === undefined) {
      if (performance.now() < until) continue;
      if (until >= began + LONGEST_PATIENCE || !running.some((thread) => target.isRunnable(thread))) return;
      until += PATIENCE;
      continue;
    }
    unlessGone(() => {
      core.noteWhileLeaving(stop);
    });
    onStop(stop);
  }
}

/** SIGKILL may come between any two of our calls; a thread that is gone needs nothing of us. */
function unlessGone(body: () => void): void {
  try {
    body();
  } catch (error) {
    if (!(error instanceof TargetGone)) throw error;
  }
}
