import type { ExitStatus } from "../targets/target.js";

/** Least, mean and most of a handler's run time, nanoseconds. */
export interface HandlerTime {
  readonly min: number;
  readonly avg: number;
  readonly max: number;
}

/** The first handler fault of a probe; what it stands for is in the counts. */
export interface FaultSample {
  /** `read fault at 0x8 (unmapped)`. */
  readonly message: string;
  /** `identifier 'user_string' at FILE:LINE:COLUMN`, where it is known. */
  readonly near?: string;
}

/** What `-t`, the summaries and `--json` say of one probe. */
export interface ProbeReport {
  /** As the script's writer would know it: `process("/bin/ls").function("main")`. */
  readonly point: string;
  /** Of the probe in the script: `FILE:LINE:COLUMN`; absent for those that an API registered. */
  readonly source?: string;
  /** How its handlers ran; `unarmed` where it never could. */
  readonly tier: "trap" | "native" | "unarmed";
  /**
   * Of a probe on instructions: at how many of them it was armed, ever, and how many could not take
   * it, by the name of the reason. Some may have been disarmed after MAXHITS hits: their later ones are
   * not among the {@link hits}.
   */
  readonly places?: {
    readonly armed: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly exhausted?: number;
  };
  /** Arrivals. */
  readonly hits: number;
  /** Hits that ran no handler: recursion, overload. */
  readonly missed: number;
  /** Hits that were the second or later try of one instruction. */
  readonly retries: number;
  /** Handler faults that a fence caught. */
  readonly fencedFaults: number;
  /** Those that none caught: so many handlers were cancelled. */
  readonly handlerFaults: number;
  /** Exceptions of the probed instruction itself. */
  readonly instructionFaults: number;
  /** Absent where no handler ran. */
  readonly time?: HandlerTime;
  readonly firstFault?: FaultSample;
  /** It was disarmed before the end, for the reason given: `MAXCANCELLED`. */
  readonly disarmed?: string;
}

/** What is said once, at the end. */
export interface SessionReport {
  readonly probes: readonly ProbeReport[];
  /** Script errors, those that MAXERRORS tolerated included. */
  readonly errors: number;
  /** Hits missed, those by recursion apart: what MAXSKIPPED bounds. */
  readonly skipped: number;
  /** The session failed: too many errors, or it could not go on. */
  readonly failed: boolean;
  /** How the target ended, where it was ours and did. */
  readonly target?: ExitStatus;
}

/**
 * One line for each probe with handler faults that no fence caught, and one for each that was disarmed,
 * as a whole or at places that had their hits. It happened quietly; this is where it is said.
 */
export function faultWarnings(probes: readonly ProbeReport[]): string[] {
  return probes.flatMap((probe) => {
    const lines: string[] = [];
    if (probe.handlerFaults > 0) lines.push(handlerFaultLine(probe));
    if (probe.disarmed !== undefined) {
      lines.push(`WARNING: ${located(probe)}: disarmed before the end (${probe.disarmed})`);
    }
    const exhausted = probe.places?.exhausted ?? 0;
    if (exhausted > 0)
      lines.push(
        `WARNING: ${located(probe)}: ${counted(exhausted, "place")} disarmed after MAXHITS hits each`,
      );
    return lines;
  });
}

function handlerFaultLine(probe: ProbeReport): string {
  const count = `${probe.handlerFaults} of ${counted(probe.hits, "hit")} cancelled by a handler fault`;
  const sample = probe.firstFault;
  if (sample === undefined) return `WARNING: ${located(probe)}: ${count}`;
  const near = sample.near === undefined ? "" : ` near ${sample.near}`;
  return `WARNING: ${located(probe)}: ${count}; the first: ${sample.message}${near}`;
}

function located(probe: ProbeReport): string {
  return probe.source === undefined ? `probe ${probe.point}` : `probe ${probe.point} at ${probe.source}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `ERROR: division by 0 near operator '/' at t.stp:1:20`. */
export function errorLine(description: string): string {
  return `ERROR: ${description}`;
}

/** What `warn()` prints. */
export function warningLine(message: string): string {
  return `WARNING: ${message}`;
}

/** SystemTap's closing count, or undefined where all went well. */
export function countsLine(report: Pick<SessionReport, "errors" | "skipped">): string | undefined {
  if (report.errors === 0 && report.skipped === 0) return undefined;
  return `WARNING: Number of errors: ${report.errors}, skipped probes: ${report.skipped}`;
}

/** SystemTap's last line of a session that failed. */
export const RUN_FAILED = "Pass 5: run failed.  [man error::pass5]";

/** In SystemTap's words how the target ended, or undefined where it ended with status 0. */
export function targetLine(status: ExitStatus): string | undefined {
  switch (status.kind) {
    case "exited":
      return status.status === 0 ? undefined : `WARNING: Child process exited with status ${status.status}`;
    case "killed": {
      const core = status.coreDumped ? ", core dumped" : "";
      return `WARNING: Child process exited with signal ${status.number} (${status.signal})${core}`;
    }
  }
}
