import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonEvent } from "../../src/output/json-sink.js";
import type { ProbeReport } from "../../src/output/report.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PATIENCE_MS = 240_000;
/** More than the longest output here. */
const MOST_OUTPUT = 256 * 2 ** 20;

/** How a program ended and what it said. */
export interface Run {
  readonly output: Buffer;
  readonly errors: string;
  readonly ending: string;
}

export function bare(command: readonly string[]): Run {
  const [program = "", ...args] = command;
  const done = spawnSync(program, args, { maxBuffer: MOST_OUTPUT, timeout: PATIENCE_MS });
  if (done.error !== undefined) throw done.error;
  return {
    output: done.stdout,
    errors: done.stderr.toString(),
    ending: done.signal ?? `exit ${String(done.status)}`,
  };
}

export interface Session extends Run {
  readonly printed: string;
  readonly probes: readonly ProbeReport[];
}

/** @throws Error the session itself failed */
export function probed(
  script: string,
  command: readonly string[],
  {
    options = [],
    limitSeconds = PATIENCE_MS / 1000,
  }: { options?: readonly string[]; limitSeconds?: number } = {},
): Session {
  const folder = mkdtempSync(join(tmpdir(), "trapline-transparency-"));
  try {
    const report = join(folder, "report.json");
    const args = [
      join(ROOT, "dist/cli/main.js"),
      "--json",
      "-w",
      ...options,
      "-o",
      report,
      "-e",
      script,
      "-c",
      command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" "),
    ];
    const done = spawnSync(process.execPath, args, { maxBuffer: MOST_OUTPUT, timeout: limitSeconds * 1000 });
    if (done.error !== undefined) throw done.error;
    const events = readFileSync(report, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as JsonEvent);
    // Of the program itself, not of the processes that it started.
    const end = events.find((event) => event.kind === "end");
    if (done.status !== 0 || end?.kind !== "end" || end.target === null) {
      throw new Error(`the session ended with status ${String(done.status)}: ${done.stderr.toString()}`);
    }
    return {
      output: done.stdout,
      errors: done.stderr.toString(),
      ending: end.target.kind === "exited" ? `exit ${String(end.target.status)}` : end.target.signal,
      printed: events.map((event) => (event.kind === "print" ? event.text : "")).join(""),
      probes: events.flatMap((event) => (event.kind === "probe" ? [event] : [])),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
