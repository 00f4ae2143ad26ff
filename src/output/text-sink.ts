import type { ByteString } from "../runtime/byte-string.js";
import { fromText } from "../runtime/byte-string.js";
import type { ExitStatus } from "../targets/target.js";
import type { DescriptorWriter } from "./descriptor-writer.js";
import {
  type SessionReport,
  closingLines,
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
}

/** SystemTap's output: what the script prints on one stream, `WARNING:` and `ERROR:` lines on the other. */
export class TextSink implements Sink {
  #midLine = false;

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
    if (!this.options.quiet) this.#say(warningLine(message));
  }

  error(description: ByteString): void {
    this.#say(errorLine(description));
  }

  targetExit(_process: number, _status: ExitStatus): void {
    // Said once, at the end, of the one target that was launched.
  }

  end(report: SessionReport): void {
    if (this.options.table) {
      this.options.output.writeText(`${this.#midLine ? "\n" : ""}${probeTable(report.probes)}`);
    }
    const warnings = faultWarnings(report.probes);
    const target = report.target === undefined ? undefined : targetLine(report.target);
    if (target !== undefined) warnings.push(target);
    if (!this.options.quiet) for (const line of warnings) this.#say(fromText(line));
    for (const line of closingLines(report)) this.#say(line);
  }

  flush(): void {
    this.options.output.flush();
    this.options.messages.flush();
  }

  flushIfDue(): void {
    this.options.output.flushIfDue();
    this.options.messages.flushIfDue();
  }

  close(): void {
    try {
      this.options.output.close();
    } finally {
      this.options.messages.close();
    }
  }

  /** A line on standard error, behind what was printed before it, and at once. */
  #say(line: ByteString): void {
    this.options.output.flush();
    this.options.messages.write(line.endsWith("\n") ? line : `${line}\n`);
    this.options.messages.flush();
  }
}
