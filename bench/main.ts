// `npm run bench`: what a hit costs over the bare program, beside other tracers, in one table from one run.
//
// Every figure is the program's own: nanoseconds a call of f(), start-up excluded, less the same of the
// bare program. Rounds take all rows in turn, so that a slow minute of the machine is in all of them.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { kernelCosts, type KernelCosts } from "./kernel.js";
import { LARGE, compilePrograms } from "./programs.js";
import { startToArmed } from "./start.js";
import { type Shown, type Work, bare, bpftrace, gdb, ltrace, script, typescript } from "./tracers.js";

const ROUNDS = 5;
/** So many that what a tracer does once, as compiling itself, is a small part: for ours the first 20,000 take 20 ms more. */
const CALLS = 100_000;
/** For those who take a quarter of a millisecond. */
const SLOW_CALLS = 1_000;

interface Row {
  readonly name: string;
  readonly tracer: (work: Work) => Shown;
  readonly calls?: number;
  readonly threads?: number;
}

const COUNTED = 'probe end { printf("%d\\n", n) }';
const COUNT: Row = { name: "count", tracer: script(`global n probe @F { n++ } ${COUNTED}`) };
const POST: Row = { name: "count, post phase", tracer: script(`global n probe post @F { n++ } ${COUNTED}`) };
const FAULT: Row = {
  name: "count, fenced fault",
  tracer: script(`global n probe @F { n++ try { user_string(8) } catch { } } ${COUNTED}`),
};
const STRING: Row = {
  name: "count, string read",
  tracer: script(`global n probe @F { n++ user_string(pointer_arg(1)) } ${COUNTED}`),
};
const THREADS: Row = { ...COUNT, name: "count, 4 threads", threads: 4 };
const TYPESCRIPT: Row = { name: "TypeScript handler", tracer: typescript, calls: CALLS / 5 };
const GDB: Row = { name: "gdb", tracer: gdb, calls: SLOW_CALLS };
const LTRACE: Row = { name: "ltrace -x", tracer: ltrace, calls: SLOW_CALLS };
const BPFTRACE: Row = { name: "bpftrace uprobe", tracer: bpftrace };
const ROWS = [COUNT, POST, FAULT, STRING, THREADS, TYPESCRIPT, GDB, LTRACE, BPFTRACE];

/** Nanoseconds over bare, of each round; or why there are none. */
type Samples = readonly number[] | string;

const folder = mkdtempSync(join(tmpdir(), "trapline-bench-"));
// `npm run bench -- kernel` measures that part only.
const onlyKernel = process.argv[2] === "kernel";
try {
  if (!onlyKernel) {
    const programs = compilePrograms(folder);
    const measured = measure(programs.hits);
    process.stdout.write(table(measured));
    const one = repeated(() => startToArmed(programs.hits, "f", 1));
    const many = repeated(() => startToArmed(programs.large, "many_*", LARGE));
    process.stdout.write(`\n${goals(measured, one, many)}`);
  }
  process.stdout.write(`\n${kernelTable(await kernelCosts())}`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function measure(program: string): Map<Row, Samples> {
  const samples = new Map<Row, Samples>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const row of ROWS) {
      const former = samples.get(row) ?? [];
      // What could not be measured once is not tried again.
      if (typeof former === "string") continue;
      const work = { program, calls: row.calls ?? CALLS, threads: row.threads ?? 1 };
      const alone = bare(work);
      const shown = row.tracer(work);
      if ("notMeasured" in alone) throw new Error(`the program itself: ${alone.notMeasured}`);
      samples.set(
        row,
        "notMeasured" in shown ? shown.notMeasured : [...former, shown.perCall - alone.perCall],
      );
    }
  }
  return samples;
}

function table(measured: ReadonlyMap<Row, Samples>): string {
  const counting = least(measured.get(COUNT));
  const lines = [...measured].map(([row, samples]) => {
    const name = row.name.padEnd(22);
    if (typeof samples === "string") return `${"".padStart(8)}  ${name}not measured: ${samples}`;
    const ratio = `${(least(samples) / counting).toFixed(2)}x`.padStart(8);
    return `${ratio}  ${name}${micro(least(samples))}${micro(median(samples))}${String(row.calls ?? CALLS).padStart(8)}`;
  });
  return [
    `Cost of a hit over the bare program, µs; ${String(ROUNDS)} rounds; ${String(cpus().length)} processors, ${cpus()[0]?.model ?? ""}, Node ${process.version}`,
    `${"ratio".padStart(8)}  ${"".padEnd(22)}${"least".padStart(9)}${"median".padStart(9)}${"hits".padStart(8)}`,
    ...lines,
    "",
  ].join("\n");
}

/** Ratios first: how many of our hits gdb's costs. */
function kernelTable(costs: KernelCosts | string): string {
  const title = "Cost of a hit in a kernel over the bare guest, µs, beside gdb on the same QEMU";
  if (typeof costs === "string") return `${title}: not measured: ${costs}\n`;
  const lines = (["count", "string"] as const).map((what) => {
    const { ours, gdb: theirs } = costs[what];
    const name = (what === "count" ? "kernel: count" : "kernel: string printed").padEnd(24);
    if (typeof theirs === "string") return `${"".padStart(8)}  ${name}${micro(least(ours))}  gdb: ${theirs}`;
    const ratio = least(theirs) / least(ours);
    const verdict = ratio >= 5 ? "met" : "NOT MET";
    return `${`${ratio.toFixed(1)}x`.padStart(8)}  ${name}${micro(least(ours))}${micro(least(theirs))}  goal >= 5x      ${verdict}`;
  });
  const arming = goal("2,000 kernel functions armed, s", Math.min(...costs.arming), 5, 1);
  const heading = `${"gdb/ours".padStart(8)}  ${"".padEnd(24)}${"ours".padStart(9)}${"gdb".padStart(9)}`;
  return [title, heading, ...lines, "", arming, ""].join("\n");
}

function goals(measured: ReadonlyMap<Row, Samples>, one: readonly number[], many: readonly number[]): string {
  const counting = least(measured.get(COUNT));
  const gdbCost = measured.get(GDB);
  const fault = (least(measured.get(FAULT)) / counting - 1) * 100;
  const ratio = typeof gdbCost === "string" ? undefined : least(gdbCost) / counting;
  return [
    goal("counting, µs a hit", counting / 1000, 7.5, 1),
    ratio === undefined
      ? "gdb's cost in those of counting: not measured"
      : `${"gdb's cost in those of counting".padEnd(40)}${ratio.toFixed(1).padStart(9)}  goal >= 30      ${ratio >= 30 ? "met" : "NOT MET"}`,
    goal("a fenced fault adds, %", fault, 50, 0),
    goal("start to armed, 1 probe, ms", Math.min(...one), 300, 0),
    goal(`start to armed, ${String(LARGE)} probes, ms`, Math.min(...many), 2000, 0),
    "",
  ].join("\n");
}

function goal(name: string, value: number, most: number, decimals: number): string {
  const verdict = value <= most ? "met" : "NOT MET";
  return `${name.padEnd(40)}${value.toFixed(decimals).padStart(9)}  goal <= ${String(most).padEnd(8)}${verdict}`;
}

function repeated(body: () => number): number[] {
  return Array.from({ length: ROUNDS }, body);
}

function least(samples: Samples | undefined): number {
  return samples === undefined || typeof samples === "string" ? Number.NaN : Math.min(...samples);
}

function median(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
}

function micro(nanoseconds: number): string {
  return (nanoseconds / 1000).toFixed(2).padStart(9);
}
