import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonEvent } from "../../src/output/json-sink.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
/** Kept of what a program prints: only its last line is looked at. */
const MOST_KEPT = 64 * 1024;

/** A program whose last line is another one, probed, is run so often again to see whether it ever varies. */
const MOST_RUNS = 10;

/** What became of one program: it does what it does bare, it does not, or it fails bare. */
export type Verdict =
  | { readonly program: string; readonly kind: "fits"; readonly armed: number; readonly hits: number }
  | { readonly program: string; readonly kind: "misfit"; readonly why: string }
  | { readonly program: string; readonly kind: "left-out"; readonly why: string };

export interface SuiteOptions {
  /** Programs at a time. */
  readonly jobs: number;
  /** A program that takes longer than this, bare, is left out; seconds. */
  readonly bareLimit: number;
  /** A program that takes longer than this, probed, is a misfit; seconds. */
  readonly probedLimit: ProbedLimit;
}

/** A program that calls much takes as many times longer: so many times what it takes bare, within bounds. */
export interface ProbedLimit {
  readonly factor: number;
  /** Seconds. */
  readonly least: number;
  readonly most: number;
}

/** How a self-checking program ended: its status or signal, and the last line that it printed. */
interface Ending {
  readonly ended: string;
  readonly lastLine: string;
  readonly errors: string;
  readonly seconds: number;
}

/** In the environment of all that a run starts: what is left of it at its end is found by it. */
const MARK = "TRAPLINE_SUITE_RUN";

/** Processes that a program leaves behind have so long to end by themselves. */
const GRACE_MS = 500;
/** Probed, everything takes longer; and the session needs them ended, or is asked to leave them. */
const PROBED_GRACE_MS = 3000;
const LOOK_MS = 250;

/** The executable files of a folder, in order of their names. */
export function programsIn(folder: string): string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => resolve(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true && isExecutable(path));
}

/**
 * Runs self-checking programs bare and then with every function of theirs and of libc probed.
 *
 * @param report told of each, as they end
 */
export async function runSuite(
  programs: readonly string[],
  options: SuiteOptions,
  report: (verdict: Verdict) => void,
): Promise<readonly Verdict[]> {
  const verdicts: Verdict[] = [];
  const waiting = [...programs];
  const work = async (): Promise<void> => {
    for (let program = waiting.shift(); program !== undefined; program = waiting.shift()) {
      const verdict = await judge(program, options);
      verdicts.push(verdict);
      report(verdict);
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, work));
  return verdicts;
}

async function judge(program: string, { bareLimit, probedLimit }: SuiteOptions): Promise<Verdict> {
  if (!isElf(program)) return { program, kind: "left-out", why: "no program of machine code" };
  const alone = await bare(program, bareLimit);
  if (alone.ended !== "status 0") return { program, kind: "left-out", why: alone.ended };
  const folder = mkdtempSync(join(tmpdir(), "trapline-suite-"));
  try {
    const report = join(folder, "report.json");
    const words = ["--json", "-w", "-o", report, "-e", scriptFor(program), "-c", quoted(program)];
    const limit = Math.min(Math.max(probedLimit.least, probedLimit.factor * alone.seconds), probedLimit.most);
    const session = [process.execPath, join(ROOT, "dist/cli/main.js"), ...words];
    const probed = await ending(session, limit, () => mainHasEnded(report));
    const misfit = (why: string): Verdict => ({ program, kind: "misfit", why });
    if (probed.ended !== "status 0") return misfit(`the session: ${probed.ended}; ${probed.errors}`);
    const events = eventsOf(report);
    const end = events.find((event) => event.kind === "end");
    const target = end?.kind === "end" ? end.target : null;
    const ended =
      target === null
        ? "unknown"
        : target.kind === "exited"
          ? `status ${String(target.status)}`
          : target.signal;
    if (ended !== alone.ended) return misfit(`it ended with ${ended}; ${probed.errors || probed.lastLine}`);
    if (probed.lastLine !== alone.lastLine) {
      // Process ids, addresses, times and counts differ from run to run: then all but the numbers is looked at.
      const others = await moreRuns(program, bareLimit, alone);
      const failed = others.find((other) => other.ended !== alone.ended);
      if (failed !== undefined) return { program, kind: "left-out", why: `${failed.ended}, run again` };
      const lines = [alone, ...others].map(({ lastLine }) => lastLine);
      const alike = (line: string): string => (new Set(lines).size > 1 ? withoutNumbers(line) : line);
      if (!lines.some((line) => alike(line) === alike(probed.lastLine)))
        return misfit(`its last line is "${probed.lastLine}" in place of "${alone.lastLine}"`);
    }
    const places = events.flatMap((event) =>
      event.kind === "probe" && event.places !== undefined ? [event.places.armed] : [],
    );
    const hits = events.flatMap((event) => (event.kind === "probe" ? [event.hits] : []));
    const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
    // Linked statically and stripped, say: there is nothing in it that has a name.
    if (sum(places) === 0) return { program, kind: "left-out", why: "it has no function to probe" };
    if (sum(hits) === 0) return misfit("no probe was hit");
    return { program, kind: "fits", armed: sum(places), hits: sum(hits) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As under a session, it leads no process group; the shell outlives what the program sends to its group. */
function bare(program: string, limit: number): Promise<Ending> {
  return ending(["/bin/sh", "-c", 'trap : HUP INT QUIT USR1 USR2 ALRM TERM; "$0"; exit $?', program], limit);
}

/** Runs a program again until it ends otherwise than the first time. */
async function moreRuns(program: string, limit: number, first: Ending): Promise<readonly Ending[]> {
  const runs: Ending[] = [];
  while (runs.length < MOST_RUNS) {
    const run = await bare(program, limit);
    runs.push(run);
    if (run.ended !== first.ended || run.lastLine !== first.lastLine) break;
  }
  return runs;
}

/** A line without its numbers, decimal and hexadecimal ones. */
export function withoutNumbers(line: string): string {
  return line.replace(/0x[0-9a-f]+|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|\d+(?:\.\d+)?/gi, "#");
}

function scriptFor(program: string): string {
  const own = `process(${JSON.stringify(program)})`;
  return `global n probe begin { println(target()) }
    probe ${own}.function("*")?, ${own}.library("libc.so.6").function("*")? { n++ }`;
}

function eventsOf(report: string): JsonEvent[] {
  return readFileSync(report, "utf8")
    .split("\n")
    .slice(0, -1)
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonEvent);
}

/** Whether the program itself has ended, whatever may have become of the processes that it started. */
function mainHasEnded(report: string): boolean {
  if (!existsSync(report)) return false;
  const events = eventsOf(report);
  const main = events.find((event) => event.kind === "print");
  return events.some(
    (event) => event.kind === "target-exit" && main?.kind === "print" && event.process === Number(main.text),
  );
}

/** As the command line of `-c` wants a word that may have spaces in it. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Runs a command in a session of its own, and in the end kills all that it leaves behind.
 *
 * @param mayEnd  of a command that waits for all processes of its program: whether it may be asked to end
 */
async function ending(command: readonly string[], limit: number, mayEnd?: () => boolean): Promise<Ending> {
  const [program = "", ...args] = command;
  const began = performance.now();
  return new Promise((resolveEnding) => {
    const mark = randomUUID();
    const place = realpathSync(mkdtempSync(join(tmpdir(), "trapline-suite-run-")));
    // It may have become another user.
    chmodSync(place, 0o777);
    const child = spawn(program, args, {
      cwd: place,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, [MARK]: mark },
    });
    const endAll = (): void => {
      killLeft({ mark, place, session: child.pid ?? NO_SESSION });
    };
    let output = "";
    let errors = "";
    let late = false;
    const timers = [
      setTimeout(() => {
        late = true;
        child.kill("SIGTERM");
        timers.push(setTimeout(endAll, PROBED_GRACE_MS));
      }, limit * 1000),
    ];
    if (mayEnd !== undefined) {
      const look = setInterval(() => {
        if (!mayEnd()) return;
        clearInterval(look);
        timers.push(setTimeout(() => child.kill("SIGTERM"), PROBED_GRACE_MS));
      }, LOOK_MS);
      timers.push(look);
    }
    child.stdout.on("data", (data: Buffer) => {
      output = (output + data.toString("latin1")).slice(-MOST_KEPT);
    });
    child.stderr.on("data", (data: Buffer) => {
      errors = (errors + data.toString("latin1")).slice(-MOST_KEPT);
    });
    let seconds = 0;
    const done = (ended: string): void => {
      for (const timer of timers) clearTimeout(timer);
      endAll();
      removePlace(place);
      resolveEnding({ ended, lastLine: lastLine(output), errors: lastLine(errors), seconds });
    };
    child.on("error", (error) => {
      done(error.message);
    });
    child.on("exit", () => {
      seconds = (performance.now() - began) / 1000;
      // What it left behind may hold its output open.
      timers.push(
        setTimeout(() => {
          child.stdout.destroy();
          child.stderr.destroy();
        }, GRACE_MS),
      );
    });
    child.on("close", (status, signal) => {
      done(late ? `not done after ${limit.toFixed(0)} s` : (signal ?? `status ${String(status)}`));
    });
  });
}

/** Of a command that could not be started. 0 is a session: one of processes that came from outside a container. */
const NO_SESSION = -1;

/** What shows that a process belongs to a run: any one of these. */
interface Traces {
  /** In its environment, if it kept that. */
  readonly mark: string;
  /** It works there, if it did not go elsewhere. */
  readonly place: string;
  /** The session that it was born into, if it made none of its own. */
  readonly session: number;
}

/** So many times what is left is looked for: what forks while it is looked at is found the next time. */
const MOST_ROUNDS = 20;

/** Ends what is left of a run, whatever group or session it has gone to. */
function killLeft(traces: Traces): void {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const left = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && belongsTo(name, traces));
    if (left.length === 0) return;
    for (const name of left) unlessGone(() => process.kill(Number(name), "SIGKILL"));
  }
}

function belongsTo(name: string, { mark, place, session }: Traces): boolean {
  const stat = unlessGone(() => readFileSync(`/proc/${name}/stat`, "latin1"));
  if (stat === undefined) return false;
  // proc_pid_stat(5), behind the command's name: state, parent, group, session.
  const [state = "", , , ofSession] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "Z" || state === "X") return false;
  if (Number(ofSession) === session) return true;
  const where = unlessGone(() => readlinkSync(`/proc/${name}/cwd`)) ?? "";
  if (where === place || where.startsWith(`${place}/`) || where === `${place} (deleted)`) return true;
  const environment = unlessGone(() => readFileSync(`/proc/${name}/environ`, "latin1")) ?? "";
  return environment.includes(`${MARK}=${mark}\0`);
}

/** Undefined where the process has ended, or is somebody else's. */
function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    if (!["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(code)) throw error;
    return undefined;
  }
}

/** A program may have left there what cannot be removed: a mount, a file of another user. */
function removePlace(place: string): void {
  try {
    rmSync(place, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    process.stderr.write(`${place} is left behind: ${(error as Error).message}\n`);
  }
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

function isElf(path: string): boolean {
  const magic = Buffer.alloc(4);
  const file = openSync(path, "r");
  try {
    return readSync(file, magic) === 4 && magic.equals(Buffer.from("\x7fELF", "latin1"));
  } finally {
    closeSync(file);
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
