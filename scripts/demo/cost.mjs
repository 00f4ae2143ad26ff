// What a counted hit costs here, and what it costs gdb. The program times itself, so that nobody's
// start-up is in the figures.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../lib/project.mjs";
import { bare, probed } from "./sessions.mjs";

const PROGRAM = join(ROOT, "scripts/demo/calls.pl");
const RUNS = 3;
const CALLS = 40_000;
const GDB_CALLS = 2_000;
const COUNT =
  'global n probe process("perl").library("libc.so.6").function("getppid") { n++ } probe end { printf("%d", n) }';

/** @returns {{ lines: string[], good: boolean }} */
export function costs() {
  /** @type {boolean[]} one for each run: were all hits counted */
  const counted = [];
  const alone = least(() => Number(bare(["perl", PROGRAM, String(CALLS)]).output));
  const ours = least(() => {
    const session = probed(["-e", COUNT], ["perl", PROGRAM, String(CALLS)]);
    counted.push(session.printed === String(CALLS));
    return Number(session.program.output);
  });
  const cost = ours - alone;
  const good = counted.every(Boolean);
  const lines = [
    `Trapline, counting   ${microseconds(cost)} a hit, the least of ${RUNS} runs of ${CALLS} hits; all were counted: ${good ? "yes" : "NO"}`,
  ];
  const gdb = gdbRun();
  if (gdb === undefined) {
    lines.push("gdb                  not measured: it is not installed");
    return { lines, good };
  }
  const theirs = gdb - alone;
  lines.push(`gdb, continuing      ${microseconds(theirs)} a hit, one run of ${GDB_CALLS} hits`);
  lines.push(`ratio                ${(theirs / cost).toFixed(0)} times`);
  return { lines, good: good && Number.isFinite(theirs) };
}

/** @returns {number | undefined} nanoseconds a call; undefined where there is no gdb */
function gdbRun() {
  const folder = mkdtempSync(join(tmpdir(), "trapline-demo-"));
  const commands = join(folder, "commands");
  writeFileSync(
    commands,
    "set confirm off\nset debuginfod enabled off\nset breakpoint pending on\n" +
      "break getppid\ncommands\nsilent\ncontinue\nend\nrun\n",
  );
  const args = ["-q", "-nx", "-batch", "-x", commands, "--args", "perl", PROGRAM, String(GDB_CALLS)];
  const done = spawnSync("gdb", args, { encoding: "utf8", timeout: 60_000 });
  rmSync(folder, { recursive: true, force: true });
  if (done.error && "code" in done.error && done.error.code === "ENOENT") return undefined;
  const found = /^(\d+)$/m.exec(done.stdout);
  return found ? Number(found[1]) : Number.NaN;
}

/** @param {() => number} measure */
function least(measure) {
  return Math.min(...Array.from({ length: RUNS }, measure));
}

/** @param {number} nanoseconds */
function microseconds(nanoseconds) {
  return `${(nanoseconds / 1000).toFixed(1)} µs`.padStart(9);
}
