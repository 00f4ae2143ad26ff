import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonEvent } from "../../src/output/json-sink.js";
import type { RealProgram } from "./programs.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BARE_BUDGET_S = 120;
/** Counting every call would take hours: after so many hits of one function its probe is unregistered. */
const MOST_HITS = 10_000;
/** Of the functions of a program and its libraries. */
const LEAST_ARMED = 0.995;

/** What became of a program; `why` has a sentence. */
export type Outcome =
  | { readonly kind: "ok" | "misfit"; readonly name: string; readonly why: string; readonly facts?: Facts }
  | { readonly kind: "left out"; readonly name: string; readonly why: string };

/** What a probed run was, in numbers. A function counts once in each process that it was armed in. */
interface Facts {
  readonly armed: number;
  /** Functions that could not take a probe, by the reason's name. */
  readonly refused: Readonly<Record<string, number>>;
  readonly hits: number;
  /** Functions whose probe was unregistered before the end, each after {@link RealProgram.mostHits} hits. */
  readonly unregistered: number;
  readonly mostHits: number;
  readonly bareSeconds: number;
  readonly seconds: number;
}

interface Run {
  readonly output: string;
  readonly errors: string;
  /** Empty where it did not end in time. */
  readonly status: string;
  readonly seconds: number;
}

/** Runs a program bare, and again with every function of it and of its libraries counted. */
export async function compare(program: RealProgram): Promise<Outcome> {
  const { name } = program;
  const missing = program.needs.filter((need) => shell(`command -v ${need} || test -d ${need}`).status !== 0);
  if (missing.length > 0) return { kind: "left out", name, why: `not installed: ${missing.join(", ")}` };
  const folder = mkdtempSync(join(tmpdir(), "trapline-real-"));
  try {
    mkdirSync(join(folder, "w"));
    const prepared = shell(program.prepare ?? "true", join(folder, "w"));
    if (prepared.status !== 0)
      return { kind: "left out", name, why: `it could not be prepared: ${prepared.stderr.trim()}` };
    const paths = program.counted.map((each) => pathOf(each, join(folder, "w")));
    const wrapped = join(folder, "run.sh");
    writeWrapper(wrapped, folder, program.run);
    const bare = await runOf(["bash", wrapped], folder, BARE_BUDGET_S);
    if (bare.status === "") return { kind: "left out", name, why: "it did not end bare" };
    if (!new RegExp(program.prints, "m").test(bare.output))
      return {
        kind: "left out",
        name,
        why: `it fails bare: ${lastLine(bare.errors) || lastLine(bare.output)}`,
      };
    const report = join(folder, "report.json");
    const probed = await runOf(
      [process.execPath, join(ROOT, "dist/cli/main.js"), "--json", "-w", "-o", report]
        .concat(["-D", `MAXHITS=${String(mostHitsOf(program))}`, "-e", scriptFor(paths)])
        .concat(["-c", `bash ${wrapped}`]),
      folder,
      program.budget,
    );
    return judged(program, bare, probed, report);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function judged(program: RealProgram, bare: Run, probed: Run, report: string): Outcome {
  const { name } = program;
  const misfit = (why: string, facts?: Facts): Outcome => ({
    kind: "misfit",
    name,
    why,
    ...(facts === undefined ? {} : { facts }),
  });
  if (probed.status === "")
    return misfit(`it did not end within ${String(program.budget)} s; ${lastLine(probed.errors)}`);
  const facts = factsOf(report, program, bare.seconds, probed.seconds);
  if (facts === undefined) return misfit(`the session did not end well: ${lastLine(probed.errors)}`);
  if (probed.status !== bare.status)
    return misfit(`status ${probed.status}, bare ${bare.status}; ${lastLine(probed.errors)}`, facts);
  for (const stream of ["output", "errors"] as const) {
    const [ours, theirs] = [probed[stream], bare[stream]].map((text) => normalised(text, program));
    if (ours !== theirs)
      return misfit(
        `its ${stream}: ${firstDifference(ours ?? "", theirs ?? "")}; its last error: ${lastLine(probed.errors)}`,
        facts,
      );
  }
  if (facts.hits === 0) return misfit("no probe was hit", facts);
  const share = facts.armed / (facts.armed + refusedIn(facts));
  if (share < LEAST_ARMED)
    return misfit(`only ${(share * 100).toFixed(2)} % of its functions were armed`, facts);
  return { kind: "ok", name, why: "", facts };
}

/** `ok  python3  7,412 of 7,420 functions (99.9 %), 1,234,567 hits, 12.0 s, bare 0.2 s; refused: 8 REASON`. */
export function describe(outcome: Outcome): string {
  const head = `${outcome.kind.padEnd(8)} ${outcome.name.padEnd(9)}`;
  if (outcome.kind === "left out" || outcome.facts === undefined) return `${head} ${outcome.why}`;
  const { facts } = outcome;
  const number = (value: number): string => value.toLocaleString("en-US");
  const all = facts.armed + refusedIn(facts);
  const share = Math.floor((facts.armed / all) * 1000) / 10;
  const parts = [
    `${number(facts.armed)} of ${number(all)} functions (${share.toFixed(1)} %)`,
    `${number(facts.hits)} hits`,
    `${facts.seconds.toFixed(1)} s, bare ${facts.bareSeconds.toFixed(1)} s`,
  ];
  const reasons = Object.entries(facts.refused).map(([reason, count]) => `${number(count)} ${reason}`);
  return [
    `${head} ${parts.join(", ")}`,
    ...(reasons.length > 0 ? [`refused: ${reasons.join(", ")}`] : []),
    ...(facts.unregistered === 0
      ? []
      : [`${number(facts.unregistered)} unregistered after ${number(facts.mostHits)} hits each`]),
    ...(outcome.why === "" ? [] : [outcome.why]),
  ].join("; ");
}

function scriptFor(paths: readonly string[]): string {
  const points = paths.flatMap((path) => {
    const own = `process(${JSON.stringify(path)})`;
    return [`${own}.function("*")?`, `${own}.library("*").function("*")?`];
  });
  return `global n probe ${points.join(", ")} { n++ }`;
}

function mostHitsOf(program: RealProgram): number {
  return program.mostHits ?? MOST_HITS;
}

function factsOf(
  report: string,
  program: RealProgram,
  bareSeconds: number,
  seconds: number,
): Facts | undefined {
  if (!existsSync(report)) return undefined;
  const events = readFileSync(report, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as JsonEvent);
  const end = events.find((event) => event.kind === "end");
  if (end?.kind !== "end" || end.failed) return undefined;
  let armed = 0;
  let hits = 0;
  let unregistered = 0;
  const refused: Record<string, number> = {};
  for (const event of events) {
    if (event.kind !== "probe") continue;
    hits += event.hits;
    armed += event.places?.armed ?? 0;
    unregistered += event.places?.exhausted ?? 0;
    for (const [reason, count] of Object.entries(event.places?.refused ?? {}))
      refused[reason] = (refused[reason] ?? 0) + count;
  }
  return { armed, refused, hits, unregistered, mostHits: mostHitsOf(program), bareSeconds, seconds };
}

/** The status goes to a file: the program may outlive the session that counted in it. */
function writeWrapper(path: string, folder: string, run: string): void {
  const w = join(folder, "w");
  writeFileSync(path, `export W=${w} LC_ALL=C\ncd "$W"\n(\n${run}\n)\necho $? > ${join(folder, "status")}\n`);
}

async function runOf(command: readonly string[], folder: string, budget: number): Promise<Run> {
  const status = join(folder, "status");
  rmSync(status, { force: true });
  const [program = "", ...args] = command;
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    const chunks: Record<"output" | "errors", Buffer[]> = { output: [], errors: [] };
    child.stdout.on("data", (data: Buffer) => chunks.output.push(data));
    child.stderr.on("data", (data: Buffer) => chunks.errors.push(data));
    const limit = setTimeout(() => {
      if (child.pid !== undefined) endGroup(child.pid);
      child.stdout.destroy();
      child.stderr.destroy();
    }, budget * 1000);
    child.on("error", reject);
    // Its output is closed when the last process of the program has ended, the tracer's end apart.
    child.on("close", () => {
      clearTimeout(limit);
      resolve({
        output: Buffer.concat(chunks.output).toString("latin1"),
        errors: Buffer.concat(chunks.errors).toString("latin1"),
        status: existsSync(status) ? readFileSync(status, "utf8").trim() : "",
        seconds: (performance.now() - began) / 1000,
      });
    });
  });
}

/** What a late run has started is of its process group. */
function endGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // It has just ended.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function shell(
  text: string,
  folder = "/",
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  return spawnSync("bash", ["-c", text], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, W: folder },
  });
}

function pathOf(counted: string, folder: string): string {
  const path = shell(`p=${counted}; realpath "$(command -v "$p")"`, folder).stdout.trim();
  if (path === "") throw new Error(`${counted}: no such program`);
  return path;
}

function normalised(text: string, program: RealProgram): string {
  return (program.differs ?? []).reduce((rest, each) => rest.replaceAll(new RegExp(each, "gm"), ""), text);
}

function firstDifference(ours: string, theirs: string): string {
  const [a, b] = [ours.split("\n"), theirs.split("\n")];
  const at = a.findIndex((line, index) => line !== b[index]);
  return `line ${String(at + 1)} is ${JSON.stringify(a[at] ?? null)}, bare ${JSON.stringify(b[at] ?? null)}`;
}

function refusedIn(facts: Facts): number {
  return Object.values(facts.refused).reduce((sum, count) => sum + count, 0);
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
