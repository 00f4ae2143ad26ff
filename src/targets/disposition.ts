import type { StatusFields } from "./process-status.js";
import { isStopSignal } from "./signals.js";
import type { Disposition } from "./target.js";

/** Signals whose default action is to do nothing: SIGCHLD, SIGCONT, SIGURG, SIGWINCH. signal(7). */
const IGNORED_BY_DEFAULT: ReadonlySet<number> = new Set([17, 18, 23, 28]);

/** What a signal would do to a thread with this `/proc/TID/status` that is about to receive it. */
export function dispositionIn(status: StatusFields, signal: number): Disposition {
  const has = (field: string): boolean => (status.mask(field) & (1n << BigInt(signal - 1))) !== 0n;
  if (has("SigCgt")) return "handled";
  if (has("SigIgn")) return "ignored";
  if (isStopSignal(signal)) return "stops";
  return IGNORED_BY_DEFAULT.has(signal) ? "ignored" : "fatal";
}
