// What a hit in a kernel costs: ours beside gdb's, on one machine, in one run.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { KernelImage } from "../src/symbols/kernel/image.js";
import { bootLab, type LabMachine } from "../src/targets/lab/machine.js";
import { ROOT } from "./programs.js";

const ROUNDS = 2;
/** So many opens that what a tracer does once is a small part. */
const OPENS = 2_000;
/** For gdb, which takes milliseconds for one. */
const GDB_OPENS = 100;
const FUNCTION = "do_sys_openat2";
/** What the guest's command calls last, for gdb to stop at. */
const LAST = "ksys_sync";
const ARMED = 2_000;
const PATIENCE_MS = 120_000;
const LOOK_MS = 5;

/** Nanoseconds a hit over bare, of each round. */
interface Costs {
  readonly ours: readonly number[];
  readonly gdb: readonly number[] | string;
}

export interface KernelCosts {
  readonly count: Costs;
  readonly string: Costs;
  /** Seconds that 2,000 functions take more than one, of each round. */
  readonly arming: readonly number[];
}

/** A tracer that has armed, and how to have it gone. */
interface Tracer {
  /** @returns the hits that it counted */
  readonly end: () => Promise<number>;
}

/**
 * @returns why there are no figures, where a machine cannot be booted here
 */
export async function kernelCosts(): Promise<KernelCosts | string> {
  let machine: LabMachine;
  try {
    machine = await bootLab({ append: "nokaslr", tell: (sentence) => process.stderr.write(`${sentence}\n`) });
  } catch (error) {
    return (error as Error).message;
  }
  const folder = mkdtempSync(join(tmpdir(), "trapline-bench-kernel-"));
  try {
    return await measured(machine, folder);
  } finally {
    await machine.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measured(machine: LabMachine, folder: string): Promise<KernelCosts> {
  const image = KernelImage.open(machine.kernel);
  const hasGdb = spawnSync("gdb", ["--version"]).status === 0;
  const costs: Record<"count" | "string", { ours: number[]; gdb: number[] }> = {
    count: { ours: [], gdb: [] },
    string: { ours: [], gdb: [] },
  };
  const arming: number[] = [];
  // Caches that the first run fills.
  await timed(machine, OPENS);
  for (let round = 0; round < ROUNDS; round++) {
    for (const what of ["count", "string"] as const) {
      const none = (): Promise<undefined> => Promise.resolve(undefined);
      const bare = await timed(machine, OPENS, none);
      const ours = await timed(machine, OPENS, () => trapline(machine, folder, what));
      costs[what].ours.push((ours - bare) / OPENS);
      if (!hasGdb) continue;
      const gdbBare = await timed(machine, GDB_OPENS, none);
      const gdbs = await timed(machine, GDB_OPENS, () => gdb(machine, image, folder, what));
      costs[what].gdb.push((gdbs - gdbBare) / GDB_OPENS);
    }
    const one = await armingSeconds(machine, image, folder, 1);
    arming.push((await armingSeconds(machine, image, folder, ARMED)) - one);
  }
  const missing = "not installed";
  return {
    count: { ours: costs.count.ours, gdb: hasGdb ? costs.count.gdb : missing },
    string: { ours: costs.string.ours, gdb: hasGdb ? costs.string.gdb : missing },
    arming,
  };
}

/** Nanoseconds that the guest's command takes. @throws Error the tracer did not see each of its opens */
async function timed(
  machine: LabMachine,
  opens: number,
  trace: () => Promise<Tracer | undefined> = () => Promise.resolve(undefined),
): Promise<number> {
  const nowhere = (): void => undefined;
  const command = await machine.load(
    `i=0; while [ $i -lt ${String(opens)} ]; do i=$((i + 1)); : </etc/passwd; done; sync`,
    { output: nowhere, error: nowhere },
  );
  const tracer = await trace();
  const began = process.hrtime.bigint();
  command.start();
  await command.ended;
  const took = Number(process.hrtime.bigint() - began);
  if (tracer === undefined) return took;
  const hits = await tracer.end();
  if (hits < opens) throw new Error(`${String(opens)} opens, and only ${String(hits)} hits were counted`);
  return took;
}

async function trapline(machine: LabMachine, folder: string, what: "count" | "string"): Promise<Tracer> {
  const body = what === "count" ? "" : 'printf("%s\\n", user_string($filename))';
  const script = `global n, told probe kernel.function("${FUNCTION}") { n++ ${body} }
    probe timer.ms(5) { if (!told++) warn("armed") } probe end { warn(sprintf("hits %d", n)) }`;
  const { child, said, ended } = session(machine, ["-o", join(folder, "out"), "-e", script]);
  await until(child, said, /armed/);
  return {
    end: async () => {
      child.kill("SIGINT");
      await ended;
      return Number(/hits (\d+)/.exec(said())?.[1] ?? Number.NaN);
    },
  };
}

async function gdb(
  machine: LabMachine,
  image: KernelImage,
  folder: string,
  what: "count" | "string",
): Promise<Tracer> {
  const at = (name: string): string =>
    `*0x${BigInt.asUintN(64, BigInt(image.symbol(name) ?? 0)).toString(16)}`;
  const commands = join(folder, "gdb");
  const print = what === "count" ? "" : 'printf "%s\\n", (char *) $rsi\n';
  writeFileSync(
    commands,
    `set confirm off\nset pagination off\nset debuginfod enabled off\nset $hits = 0\ntarget remote ${machine.stub}\n` +
      `break ${at(FUNCTION)}\ncommands\nsilent\nset $hits = $hits + 1\n${print}continue\nend\nbreak ${at(LAST)}\n` +
      'echo armed\\n\ncontinue\nprintf "hits %d\\n", $hits\ndelete\ndetach\n',
  );
  const child = spawn("gdb", ["-q", "-nx", "-batch", "-x", commands], { stdio: ["ignore", "pipe", "pipe"] });
  const { said, ended } = listening(child);
  await until(child, said, /armed/);
  return {
    end: async () => {
      await ended;
      return Number(/hits (\d+)/.exec(said())?.[1] ?? Number.NaN);
    },
  };
}

async function armingSeconds(
  machine: LabMachine,
  image: KernelImage,
  folder: string,
  count: number,
): Promise<number> {
  const names = image.functions("*").filter(({ exported }) => exported);
  const points = names.slice(0, count).map(({ name }) => `kernel.function("${name}")?`);
  const report = join(folder, "report.json");
  rmSync(report, { force: true });
  const script = join(folder, "many.stp");
  writeFileSync(
    script,
    `global n, told probe ${points.join(",\n")} { n++ }
    probe timer.ms(1) { if (!told++) println("armed") }`,
  );
  const began = performance.now();
  const { child, said, ended } = session(machine, ["--json", "-o", report, script]);
  // By this process's clock: that of a handler leaves out what the machine stood still for.
  const printed = (): string => (existsSync(report) ? readFileSync(report, "utf8") : "");
  await until(child, printed, /"text":"armed/, said);
  const seconds = (performance.now() - began) / 1000;
  child.kill("SIGINT");
  await ended;
  return seconds;
}

function session(
  machine: LabMachine,
  words: readonly string[],
): { readonly child: ChildProcess; readonly said: () => string; readonly ended: Promise<unknown> } {
  const target = ["--gdb", `unix:${machine.stub}`, "--kernel", machine.kernel];
  const child = spawn(process.execPath, [join(ROOT, "dist/cli/main.js"), ...target, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { child, ...listening(child) };
}

/** All that it says, so that it never waits for a reader. */
function listening(child: ChildProcess): { readonly said: () => string; readonly ended: Promise<unknown> } {
  let text = "";
  const keep = (bytes: Buffer): void => {
    text += bytes.toString("latin1");
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  return { said: () => text, ended: once(child, "close") };
}

async function until(
  child: ChildProcess,
  said: () => string,
  sign: RegExp,
  why: () => string = said,
): Promise<void> {
  const began = performance.now();
  while (!sign.test(said())) {
    if (child.exitCode !== null) throw new Error(`the tracer ended before it had armed: ${why()}`);
    if (performance.now() - began > PATIENCE_MS) {
      child.kill("SIGKILL");
      throw new Error(`the tracer has armed nothing: ${why()}`);
    }
    await setTimeout(LOOK_MS);
  }
}
