import { unlessGone } from "../../base/gone.js";
import { isRunnable } from "./facts.js";
import { ERRNO, SYS, SharedBytes, systemCall4 } from "../system-calls.js";
import { PTRACE, PTRACE_EVENT, SYSTEM_CALL_STOP, WAIT_OPTIONS, ptrace } from "./ptrace.js";
import { restartInterrupted } from "./restart.js";
import type { Thread } from "./threads.js";
import type { Tracing } from "./tracing.js";
import { TRAP_STOP, isStopped, stopEvent, stopSignal } from "./wait-status.js";

/** How long a thread of a running program may take to stop before another one is tried; milliseconds. */
const PATIENCE = 100;
/** The same, while it only waits for a processor: what it is to stop for should not come too late for it. */
const LONGEST_PATIENCE = 10_000;
const WNOHANG = 1;

const status = new SharedBytes(8);
const nap = new Int32Array(new SharedArrayBuffer(4));

/**
 * Stops a running thread for a moment. Where it does not stop in time, or ends, nothing is done.
 * What it stops for on the way is dealt with as always, and told at the next wait.
 */
export function withStopped(tracer: Tracing, thread: Thread, body: () => void): void {
  // It may stand already, and its turn to be looked at has not come.
  const queued = tracer.pending.withdraw(thread.id, (value) => value === TRAP_STOP || isPlainStop(value));
  if (queued === TRAP_STOP) {
    tracer.dealWith(thread.id, queued);
    // At a breakpoint it stands as well as anywhere; a signal that was sent is delivered first.
    if (thread.trapped) unlessGone(body);
    return;
  }
  if (queued !== undefined) {
    runAtStop(tracer, thread, queued, body);
    return;
  }
  if (ptrace(PTRACE.INTERRUPT, thread.id) !== 0) return;
  thread.disturbed = true;
  const began = performance.now();
  while (!thread.stopped) {
    const waited = systemCall4(SYS.wait4, thread.id, status.address, WAIT_OPTIONS | WNOHANG, 0);
    if (waited < 0 && waited !== -ERRNO.EINTR) return;
    if (waited <= 0) {
      // Looked at here only: a stop that was taken is dealt with, however late it is.
      const waits = performance.now() - began;
      if (waits > PATIENCE && (waits > LONGEST_PATIENCE || !isRunnable(thread.id))) return;
      Atomics.wait(nap, 0, 0, 0.05);
      continue;
    }
    const value = status.words[0] as number; // 8 bytes long
    const plain = isPlainStop(value) || (isStopped(value) && isSignalStop(value));
    if (!plain) {
      tracer.dealWith(thread.id, value);
      continue;
    }
    runAtStop(tracer, thread, value, body);
    return;
  }
}

function isPlainStop(status: number): boolean {
  return isStopped(status) && stopEvent(status) === PTRACE_EVENT.STOP;
}

function runAtStop(tracer: Tracing, thread: Thread, value: number, body: () => void): void {
  thread.stopped = true;
  thread.registersValid = false;
  // One to be delivered is pending afterwards, and stops the thread again.
  thread.pendingSignal = isSignalStop(value) ? stopSignal(value) : 0;
  runStopped(tracer, thread, body);
  // Whatever becomes of the thread now, it is like any other stop that nobody asked for.
  if (thread.pendingSignal !== 0 || stopEvent(value) === PTRACE_EVENT.STOP)
    tracer.pending.push(thread.id, value);
  else tracer.setGoing(thread);
}

function isSignalStop(value: number): boolean {
  return stopEvent(value) === PTRACE_EVENT.NONE && (stopSignal(value) & SYSTEM_CALL_STOP) === 0;
}

function runStopped(tracer: Tracing, thread: Thread, body: () => void): void {
  unlessGone(() => {
    tracer.fetchRegisters(thread);
    if (thread.pendingSignal === 0) restartInterrupted(thread.id, thread.registers);
    tracer.storeRegisters(thread);
    body();
  });
}
