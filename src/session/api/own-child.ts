import { readFileSync } from "node:fs";
import { TargetError } from "../../base/errors.js";

/**
 * Refuses a process that this very process started by `node:child_process`. Node waits for each of
 * those with waitpid; a tracee's stops are told to any thread of its tracer's process, so Node would
 * take some of them, believe that the child has exited, and leave the child standing for ever.
 * Children of {@link launch} are none of Node's: they can be attached to again.
 *
 * @throws TargetError
 */
export function refuseOwnChild(pid: number): void {
  if (parentOf(pid) !== process.pid || launched.has(pid)) return;
  throw new TargetError(
    `process ${String(pid)} is a child of this very process, whose child_process module would take the stops that the tracer waits for`,
    { remedy: "start it with launch(), or attach from another process" },
  );
}

/** Started by {@link launch} in this process. */
const launched = new Set<number>();

export function noteLaunched(pid: number): void {
  launched.add(pid);
}

/** @returns undefined where there is no such process; who attaches will say so */
function parentOf(pid: number): number | undefined {
  try {
    const [, parent] = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${String(pid)}/status`, "latin1")) ?? [];
    return Number(parent);
  } catch {
    return undefined;
  }
}
