import { TargetGone } from "../../base/errors.js";
import type { ThreadId } from "../target.js";
import { readFacts } from "./facts.js";
import type { Thread } from "./threads.js";
import type { Tracing } from "./tracing.js";

/** First stops of threads whose creator's event has not come yet, and ends of such threads. */
export type Early = Map<number, "stopped" | "gone">;

/** Processes whose creator was killed before its event could be told: they stand, and nobody would know. */
export function adoptOrphans(tracer: Tracing, early: Early, ended: Thread): void {
  const processes = new Set<number>();
  for (const thread of tracer.book.all()) processes.add(thread.process);
  for (const [id, seen] of early) {
    if (seen === "gone") continue;
    try {
      const facts = readFacts(id);
      // Its creator lives, and the event is still to come; or it is a thread, and dies with the others.
      if (processes.has(facts.parentProcess) || facts.process !== id) continue;
    } catch (error) {
      if (error instanceof TargetGone) continue;
      throw error;
    }
    early.delete(id);
    const child = tracer.book.add(id as ThreadId, id, tracer.book.newSpace());
    child.stopped = true;
    tracer.later({
      kind: "thread-start",
      thread: child.id,
      space: child.space.id,
      copyOf: ended.space.id,
      parent: ended.id,
      newProcess: true,
    });
  }
}
