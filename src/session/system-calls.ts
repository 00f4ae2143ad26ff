import type { SystemCallFacts } from "../handlers/js/scene.js";
import type { Probe } from "../probes/probe.js";
import type { ThreadId } from "../targets/target.js";
import type { Point } from "./points/point.js";

export type SystemCallPoint = Extract<Point, { kind: "system-call" }>;

/** The call that a handler is about. */
export type SystemCall = SystemCallFacts;

/**
 * Probes on system calls (row S11). `pre` is the entry, `post` the normal return, `fault` a call that ended
 * with EFAULT or that was interrupted to be made again; then the next one is its retry.
 */
export interface SystemCalls {
  /** @throws UsageError the target has no such call */
  add(probe: Probe, point: SystemCallPoint): void;
  /** Begins to watch for what was added. */
  begin(): void;
  /** The call that the handler now running is about. */
  readonly current: SystemCall | undefined;
  /** A stop of a target that tells of its calls by itself. */
  onStop(thread: ThreadId, phase: "entry" | "exit", number: number): void;
  threadGone(thread: ThreadId): void;
}
