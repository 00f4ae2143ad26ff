import os from "node:os";
import koffi from "koffi";
import { TargetGone } from "../../base/errors.js";
import { SYS, SharedBytes, systemCall3, systemCall4 } from "../system-calls.js";
import { readStatus } from "./process-files.js";
import { WAKE_SIGNAL } from "./waiter.js";

/**
 * A process that aborts, as Node does where V8 has no memory left, dies at once, and a target whose
 * breakpoints it leaves behind dies after it. So SIGABRT's handler is made to be the C library's
 * `sleep`: called as a handler, its argument is the number of the signal, and six seconds are time
 * enough for the tracer's thread to see it and to leave. Then abort(3) goes on to its end.
 */

const { SIGABRT, SIGTERM } = os.constants.signals;
/** The first field of the kernel's and of the C library's struct sigaction alike is the handler. */
const SIGACTION_BYTES = 152;
const FLAGS_OFFSET = 136; // behind the handler and 128 bytes of mask: glibc's struct sigaction
const SA_RESETHAND = 0x80000000;

interface Library {
  readonly sigaction: (signal: number, action: Uint8Array, old: Uint8Array | null) => number;
  readonly sleep: bigint;
}

let library: Library | undefined;

function loadLibrary(): Library {
  const libc = koffi.load("libc.so.6");
  const find = libc.func("long dlsym(long, const char *)") as (
    handle: number,
    name: string,
  ) => number | bigint;
  return {
    sigaction: libc.func("int sigaction(int, void *, void *)") as Library["sigaction"],
    sleep: BigInt(find(0, "sleep")),
  };
}

/** How many ask for it now, in this thread; the first puts it in place, the last takes it away. */
let wanted = 0;
const former = new SharedBytes(SIGACTION_BYTES);

/**
 * Gives the tracer's thread time when this process aborts.
 *
 * @returns what takes that back
 */
export function delayAborts(): () => void {
  library ??= loadLibrary();
  const { sigaction, sleep } = library;
  if (wanted++ === 0) {
    const action = new SharedBytes(SIGACTION_BYTES);
    action.view.setBigUint64(0, sleep, true);
    action.view.setUint32(FLAGS_OFFSET, SA_RESETHAND, true);
    sigaction(SIGABRT, action.bytes, former.bytes);
  }
  return () => {
    if (--wanted === 0) sigaction(SIGABRT, former.bytes, null);
  };
}

/** The thread that calls this, by its number in the system. */
export function ownThread(): number {
  return systemCall3(SYS.gettid, 0, 0, 0);
}

/** Whether a thread of this process is in that handler: it blocks SIGABRT, but not as who forks blocks all. */
export function isAborting(thread: number): boolean {
  try {
    const blocked = readStatus(thread).mask("SigBlk");
    const blocks = (signal: number): boolean => (blocked & (1n << BigInt(signal - 1))) !== 0n;
    return blocks(SIGABRT) && !blocks(SIGTERM);
  } catch (error) {
    if (error instanceof TargetGone) return true;
    throw error;
  }
}

/** Waits no longer: the thread dies. */
export function endAborting(thread: number): void {
  systemCall4(SYS.tgkill, process.pid, thread, WAKE_SIGNAL, 0);
}
