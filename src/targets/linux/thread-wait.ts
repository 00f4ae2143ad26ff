import { TargetGone } from "../../base/errors.js";
import { ERRNO, SYS, SharedBytes, systemCall4 } from "../system-calls.js";
import { isRunnable } from "./facts.js";
import { PTRACE_EVENT, WAIT_OPTIONS } from "./ptrace.js";
import type { StatusQueue } from "./status-queue.js";
import type { Thread } from "./threads.js";
import { isStopped, stopEvent } from "./wait-status.js";

const status = new SharedBytes(8);
const nap = new Int32Array(new SharedArrayBuffer(4));
const NAP_MS = 0.05;
const WNOHANG = 1;

/**
 * Waits until one thread stops that was just set going and will stop at once. Its end is kept for
 * the next wait for any thread.
 *
 * @returns the wait status of the stop
 * @throws TargetGone it is ending, or has
 */
export function waitForStop(tracer: { readonly pending: StatusQueue }, thread: Thread): number {
  let waited: number;
  do waited = systemCall4(SYS.wait4, thread.id, status.address, WAIT_OPTIONS, 0);
  while (waited === -ERRNO.EINTR);
  return take(tracer, thread, waited);
}

/**
 * As {@link waitForStop}, for a thread that may be kept from running: in a frozen control group, say. One that
 * only has to wait for a processor is waited for longer.
 *
 * @returns the wait status; undefined where it did not run for so long
 */
export function waitForStopAtMost(
  tracer: { readonly pending: StatusQueue },
  thread: Thread,
  milliseconds: number,
): number | undefined {
  let until = performance.now() + milliseconds;
  for (;;) {
    const waited = systemCall4(SYS.wait4, thread.id, status.address, WAIT_OPTIONS | WNOHANG, 0);
    if (waited !== 0 && waited !== -ERRNO.EINTR) return take(tracer, thread, waited);
    if (performance.now() > until) {
      if (!isRunnable(thread.id)) return undefined;
      until = performance.now() + milliseconds;
    }
    Atomics.wait(nap, 0, 0, NAP_MS);
  }
}

function take(tracer: { readonly pending: StatusQueue }, thread: Thread, waited: number): number {
  const value = status.words[0] as number; // 8 bytes long
  if (waited > 0 && isStopped(value) && stopEvent(value) !== PTRACE_EVENT.EXIT) return value;
  thread.stopped = false;
  if (waited > 0) tracer.pending.push(thread.id, value);
  throw new TargetGone(`thread ${thread.id} is gone`);
}
