import { TargetError } from "../../base/errors.js";
import type { Stop } from "../../targets/target.js";

/** How a try to trace a child, started for it, went. */
export type TraceTrial = { readonly kind: "traced" } | { readonly kind: "refused"; readonly reason: string };

const PATIENCE_MILLISECONDS = 5000;

/**
 * Starts `true`, traced, and lets it run to its end. Loads native code.
 *
 * Must be called where {@link LinuxTarget} may be: a thread without children of its own.
 */
export async function tryTrace(): Promise<TraceTrial> {
  const { LinuxTarget } = await import("../../targets/linux/target.js");
  try {
    await using target = LinuxTarget.launch(["true"]);
    const deadline = performance.now() + PATIENCE_MILLISECONDS;
    for (const thread of target.threads()) target.resume(thread, { kind: "continue" });
    for (let stop: Stop | undefined; (stop = target.wait(deadline)) !== undefined;) {
      if (stop.kind === "thread-gone" && stop.processExit !== undefined) return { kind: "traced" };
      if (stop.kind !== "thread-gone") target.resume(stop.thread, { kind: "continue" });
    }
    return { kind: "refused", reason: "a child that was traced did not come to its end" };
  } catch (error) {
    if (error instanceof TargetError) return { kind: "refused", reason: error.message };
    throw error;
  }
}
