import type { SignalInfo, Target, ThreadId } from "../targets/target.js";
import { disarmAt } from "./arming.js";
import type { ProbedSpace } from "./space.js";

/**
 * A thread is about to receive a signal. Where its program dies of it and leaves an image of its
 * memory, the text is put right before: pages with breakpoints are private copies, which are dumped.
 */
export function beforeDeath(target: Target, thread: ThreadId, space: ProbedSpace, signal: SignalInfo): void {
  if (target.capabilities.dumpsMemory?.(thread, signal) !== true) return;
  for (const location of space.locations.values()) disarmAt(space, location);
}
