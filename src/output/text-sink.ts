import type { ByteString } from "../runtime/byte-string.js";
import { fromText } from "../runtime/byte-string.js";
import type { ExitStatus } from "../targets/target.js";
import type { DescriptorWriter } from "./descriptor-writer.js";
import {
  RUN_FAILED,
  type SessionReport,
  countsLine,
  errorLine,
  faultWarnings,
  targetLine,
  warningLine,
} from "./report.js";
import type { Sink } from "./sink.js";
import { probeTable } from "./table.js";

export interface TextSinkOptions {
  /** Standard output, or the file of `-o`. */
  readonly output: DescriptorWriter;
  /** Standard error. */
  readonly messages: DescriptorWriter;
  /** `-t`. */
  readonly table: boolean;
  /** `-w`: no warnings. */
  readonly quiet: boolean;
  /** `-v`: a warning that was given before is given again. */
  readonly verbose: boolean;
}

/** So many different warnings are remembered; one that comes after them is given each time. */
const MOST_REMEMBERED = 1024;

/** SystemTap's output: what the script prints on one stream, `WARNING:` and `ERROR:` lines on the other. */
export class TextSink implements Sink {
  #midLine = false;
  readonly #warned = new Set<ByteString>();

  constructor(private readonly options: TextSinkOptions) {}

  begin(): void {
    // Text has no heading: the script's own output is all there is.
  }

  print(bytes: ByteString): void {
    if (bytes === "") return;
    this.#midLine = !bytes.endsWith("\n");
    this.options.output.write(bytes);
  }

  log(message: ByteString): void {
    this.#say(message);
  }

  warning(message: ByteString): void {
    this.#warn(warningLine(message));
  }

  error(description: ByteString): void {
    this.#say(errorLine(description));
  }

  targetExit(_process: number, _status: ExitStatus): void {
    // Said once, at the end, of the one target that was launched.
  }

  end(report: SessionReport): void {
    if (this.options.table && !this.options.output.broken) {
      this.options.output.writeText(`${this.#midLine ? "\n" : ""}${probeTable(report.probes)}`);
    }
    for (const line of faultWarnings(report.probes)) this.#warn(fromText(line));
    const target = report.target === undefined ? undefined : targetLine(report.target);
    if (target !== undefined) this.#warn(target);
    const counts = countsLine(report);
    if (counts !== undefined) this.#warn(counts);
    if (report.failed) this.#say(RUN_FAILED);
  }

  flush(): void {
    if (!this.options.output.broken) this.options.output.flush();
    this.options.messages.flush();
  }

  flushIfDue(): void {
    if (!this.options.output.broken) this.options.output.flushIfDue();
    this.options.messages.flushIfDue();
  }

  close(): void {
    try {
      this.options.output.close();
    } finally {
      this.options.messages.close();
    }
  }

  /** As staprun does it: not at all with `-w`, and each only once, unless `-v`. */
  #warn(line: ByteString): void {
    if (this.options.quiet) return;
    if (!this.options.verbose) {
      if (this.#warned.has(line)) return;
      if (this.#warned.size < MOST_REMEMBERED) this.#warned.add(line);
    }
    this.#say(line);
  }

  /** A line on standard error, behind what was printed before it, and at once. */
  #say(line: ByteString): void {
    try {
      if (!this.options.output.broken) this.options.output.flush();
    } finally {
      this.options.messages.write(line.endsWith("\n") ? line : `${line}\n`);
      this.options.messages.flush();
    }
  }
}
