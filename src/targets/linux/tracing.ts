import type { Stop } from "../target.js";
import type { StatusQueue } from "./status-queue.js";
import type { Thread, ThreadBook } from "./threads.js";

/** What those who make a thread do something need of its tracer. */
export interface Tracing {
  readonly book: ThreadBook;
  /** Statuses for the next wait. */
  readonly pending: StatusQueue;
  /** A call about a stopped thread came back. @throws TargetGone it was killed meanwhile */
  check(thread: Thread, result: number): void;
  /** A thread is set going by a request of the caller's own. */
  goes(thread: Thread): void;
  /** Forgets a thread that is not traced any more. */
  remove(thread: Thread): void;
  /** Reports a stop at the next wait. */
  later(stop: Stop): void;
  /** Tells the user something about the target. */
  notice(text: string): void;
  fetchRegisters(thread: Thread): void;
  storeRegisters(thread: Thread): void;
  /** A wait status that was met while one thread was waited for: told at the next wait, where it is to be told. */
  dealWith(id: Thread["id"], status: number): void;
  /** Sets a stopped thread going again, of whose stop nobody is to know. */
  setGoing(thread: Thread): void;
}
