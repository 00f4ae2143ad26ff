import { ProbeRefused, TargetGone } from "../base/errors.js";
import { unlessGone } from "../base/gone.js";
import { Patience } from "../targets/patience.js";
import type { ProbeCore } from "./core.js";
import type { Region } from "./slots.js";
import type { Capabilities, Stop, Target, ThreadId } from "../targets/target.js";

type Unmap = NonNullable<Capabilities["unmap"]>;

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
  const patience = new Patience();
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
    const stop = target.wait(patience.until);
    if (stop === undefined) {
      if (!patience.lasts(() => running.some((thread) => target.isRunnable(thread)))) return;
      continue;
    }
    unlessGone(() => {
      core.noteWhileLeaving(stop);
    });
    onStop(stop);
  }
}
