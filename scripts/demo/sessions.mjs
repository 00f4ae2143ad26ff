// Runs programs bare and under Trapline, and keeps what came of it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure, ROOT } from "../lib/project.mjs";

/** @typedef {{ kind: "exited", status: number } | { kind: "killed", signal: string, number: number }} Ending */
/** @typedef {{ output: string, hash: string, ending: string }} Run */
/** @typedef {{ kind: string, text?: string, target?: Ending | null } & Partial<ProbeCounts>} DemoEvent a line of --json */
/** @typedef {{ offset: number, instruction: string, address: number, typescript: import("./cases.mjs").Intercepted }} Found */
/**
 * @typedef {object} ProbeCounts
 * @property {string} source
 * @property {number} hits
 * @property {number} missed
 * @property {number} retries
 * @property {number} fencedFaults
 * @property {number} handlerFaults
 * @property {number} instructionFaults
 */
/**
 * @typedef {object} Session
 * @property {Run} program        what the probed program printed and how it ended
 * @property {string} printed     what the script printed
 * @property {ProbeCounts[]} probes in the order of the script
 * @property {string} messages    standard error: Trapline's, and the program's own
 * @property {number} status      Trapline's
 */

const PATIENCE_MS = 60_000;
/** Handlers of signals run at once, as a C program's would, not between two operations of perl. */
const ENVIRONMENT = { ...process.env, PERL_SIGNALS: "unsafe" };

/** @param {string} output @param {Ending} ending @returns {Run} */
function summed(output, ending) {
  const hash = createHash("sha256").update(output).digest("hex").slice(0, 16);
  return { output, hash, ending: ending.kind === "exited" ? `exit ${ending.status}` : ending.signal };
}

/** @param {readonly string[]} command @returns {Run} */
export function bare(command) {
  const [program = "", ...args] = command;
  const done = spawnSync(program, args, { env: ENVIRONMENT, encoding: "utf8", timeout: PATIENCE_MS });
  if (done.error) throw new Failure(`the demo needs ${program}: ${done.error.message}`);
  return summed(
    done.stdout,
    done.signal === null
      ? { kind: "exited", status: done.status ?? 0 }
      : { kind: "killed", signal: done.signal, number: 0 },
  );
}

/**
 * One session on a command of plain words.
 *
 * @param {readonly string[]} script   `-e TEXT`, or a file and its arguments
 * @param {readonly string[]} command
 * @returns {Session}
 */
export function probed(script, command) {
  return withFile((report) => {
    const args = ["--json", "-o", report, "-c", command.join(" "), ...script];
    const done = spawnSync(process.execPath, [join(ROOT, "dist/cli/main.js"), ...args], {
      env: ENVIRONMENT,
      encoding: "utf8",
      timeout: PATIENCE_MS,
    });
    if (done.error) throw new Failure(`Trapline did not end: ${done.error.message}\n${done.stderr}`);
    const events = readFileSync(report, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map(eventOf);
    const ending = events.find((event) => event.kind === "end")?.target ?? undefined;
    if (ending === undefined)
      throw new Failure(`the session failed (status ${done.status}):\n${done.stderr}`);
    return {
      program: summed(done.stdout, ending),
      printed: events
        .filter((event) => event.kind === "print")
        .map((event) => event.text ?? "")
        .join(""),
      probes: /** @type {ProbeCounts[]} */ (events.filter((event) => event.kind === "probe")),
      messages: done.stderr,
      status: done.status ?? -1,
    };
  });
}

/**
 * The same session without `--json`: what its user reads on standard error.
 *
 * @param {readonly string[]} script
 * @param {readonly string[]} command
 * @returns {string}
 */
export function messagesOf(script, command) {
  return withFile((output) => {
    const args = [join(ROOT, "dist/cli/main.js"), "-o", output, "-c", command.join(" "), ...script];
    const options = { env: ENVIRONMENT, encoding: /** @type {const} */ ("utf8"), timeout: PATIENCE_MS };
    return spawnSync(process.execPath, args, options).stderr;
  });
}

/**
 * What the part on the TypeScript API found out about a command.
 *
 * @param {readonly string[]} command
 */
export function kprobes(command) {
  return withFile((result) => {
    const script = join(ROOT, "scripts/demo/kprobes.mjs");
    const done = spawnSync(process.execPath, [script, result, ...command], {
      env: ENVIRONMENT,
      stdio: ["ignore", "ignore", "pipe"],
      encoding: "utf8",
      timeout: PATIENCE_MS,
    });
    if (done.status !== 0) throw new Failure(`the TypeScript part of the demo failed:\n${done.stderr}`);
    /** @type {unknown} */
    const found = JSON.parse(readFileSync(result, "utf8"));
    return /** @type {Found} */ (found);
  });
}

/** @template T @param {(path: string) => T} body @returns {T} */
function withFile(body) {
  const folder = mkdtempSync(join(tmpdir(), "trapline-demo-"));
  try {
    return body(join(folder, "result.json"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * One line of `--json`.
 *
 * @param {string} line
 * @returns {DemoEvent}
 */
function eventOf(line) {
  /** @type {unknown} */
  const event = JSON.parse(line);
  return /** @type {DemoEvent} */ (event);
}
