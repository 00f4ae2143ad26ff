import { type ByteString, toText } from "../runtime/byte-string.js";
import type { ExitStatus } from "../targets/target.js";
import type { DescriptorWriter } from "./descriptor-writer.js";
import type { ProbeReport, SessionReport } from "./report.js";
import type { Sink } from "./sink.js";

/** Raised when a line changes its meaning; new kinds and new fields do not raise it. */
const JSON_FORMAT = 1;

/**
 * A line of `--json`. Texts from target and script are UTF-8; a byte that is not becomes the lone
 * surrogate U+DC00 plus the byte, written `\udc80` … `\udcff` (Python: `.encode("utf-8",
 * "surrogateescape")` gives the bytes back).
 */
export type JsonEvent =
  | { readonly kind: "begin"; readonly format: number; readonly script: string; readonly probes: number }
  | { readonly kind: "print" | "log"; readonly text: string }
  | { readonly kind: "warning"; readonly message: string }
  | { readonly kind: "error"; readonly message: string; readonly probe: string | null }
  | { readonly kind: "target-exit"; readonly process: number; readonly status: ExitStatus }
  | ({ readonly kind: "probe" } & ProbeReport)
  | HandlerFaultsEvent
  | {
      readonly kind: "end";
      readonly failed: boolean;
      readonly errors: number;
      readonly skipped: number;
      readonly target: ExitStatus | null;
    };

/** What the text output says in one line at the end: one for each probe with handlers that a fault cancelled. */
interface HandlerFaultsEvent {
  readonly kind: "handler-faults";
  /** The probe point, and where in the script its probe stands. */
  readonly probe: string;
  readonly source: string | null;
  readonly hits: number;
  /** Faults that a fence caught, and handlers that were cancelled because none did. */
  readonly fenced: number;
  readonly cancelled: number;
  /** The first one that cancelled a handler, and near what in the script. */
  readonly first: { readonly message: string; readonly near: string | null } | null;
  /** Why the probe was disarmed before the end. */
  readonly disarmed: string | null;
}

/** One event a line, all on one stream, in order. */
export class JsonSink implements Sink {
  constructor(
    private readonly output: DescriptorWriter,
    /** `quiet`: of `-w`, no warnings. */
    private readonly options: { readonly quiet: boolean } = { quiet: false },
  ) {}

  begin(session: { readonly script: string; readonly probes: number }): void {
    this.#emit({ kind: "begin", format: JSON_FORMAT, ...session });
  }

  print(bytes: ByteString): void {
    this.#emit({ kind: "print", text: toText(bytes) });
  }

  log(message: ByteString): void {
    this.#emit({ kind: "log", text: toText(message) });
  }

  warning(message: ByteString): void {
    if (!this.options.quiet) this.#emit({ kind: "warning", message: toText(message) });
  }

  error(description: ByteString, point: string | undefined): void {
    this.#emit({ kind: "error", message: toText(description), probe: point ?? null });
  }

  targetExit(process: number, status: ExitStatus): void {
    this.#emit({ kind: "target-exit", process, status });
  }

  end(report: SessionReport): void {
    for (const probe of report.probes) this.#emit({ kind: "probe", ...probe });
    for (const probe of report.probes) if (probe.handlerFaults > 0) this.#emit(handlerFaults(probe));
    const { failed, errors, skipped, target } = report;
    this.#emit({ kind: "end", failed, errors, skipped, target: target ?? null });
  }

  flush(): void {
    this.output.flush();
  }

  flushIfDue(): void {
    this.output.flushIfDue();
  }

  close(): void {
    this.output.close();
  }

  #emit(event: JsonEvent): void {
    this.output.writeText(`${JSON.stringify(event)}\n`);
  }
}

function handlerFaults(probe: ProbeReport): HandlerFaultsEvent {
  const { point, source, hits, fencedFaults, handlerFaults: cancelled, firstFault, disarmed } = probe;
  return {
    kind: "handler-faults",
    probe: point,
    source: source ?? null,
    hits,
    fenced: fencedFaults,
    cancelled,
    first: firstFault === undefined ? null : { message: firstFault.message, near: firstFault.near ?? null },
    disarmed: disarmed ?? null,
  };
}
