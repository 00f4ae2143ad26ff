import type { ByteString } from "../runtime/byte-string.js";
import type { ExitStatus } from "../targets/target.js";
import type { SessionReport } from "./report.js";

/** What a session tells its reader, in order. Text that a script made is bytes, our own is text. */
export interface Sink {
  /** All probes that could be are armed; handlers run from here on. */
  begin(session: { readonly script: string; readonly probes: number }): void;
  /** Bytes that a script printed: the hot one. */
  print(bytes: ByteString): void;
  /** `log()`, which goes to standard error. */
  log(message: ByteString): void;
  /** `warn()`, and warnings of our own. */
  warning(message: ByteString): void;
  /** A script error that nothing caught. `description` says what and near what; `point` in which probe. */
  error(description: ByteString, point: string | undefined): void;
  /** A process of the target is gone. */
  targetExit(process: number, status: ExitStatus): void;
  /** The session is over: summaries, and the table where it was asked for. */
  end(report: SessionReport): void;
  /** The session is about to wait: let the reader have what there is. */
  flush(): void;
  /** The session is busy: let the reader have what is older than a moment. */
  flushIfDue(): void;
  /** Nothing comes after this. */
  close(): void;
}
