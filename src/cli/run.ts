import { TargetError, TraplineError, UsageError } from "../base/errors.js";
import type { Interrupts, SessionOptions } from "../session/options.js";
import type { CleanReport } from "../session/kernel/clean.js";
import { parseCommandLine, type Request } from "./command-line.js";
import { examine } from "./doctor/examine.js";
import type { Machine } from "./doctor/machine.js";
import { report } from "./doctor/report.js";
import { readScript } from "./script-source.js";

const EXIT = { ok: 0, failed: 1, unusable: 2 } as const;

/** Runs one session to its end and gives the exit status. */
export type RunSession = (options: SessionOptions, interrupts: Interrupts) => Promise<number>;

/** Takes out what a killed session left in the kernel behind a stub. */
export type CleanKernel = (gdb: string, image: string) => CleanReport;

/** What the command line needs of the world around it; tests give their own. */
export interface World {
  readonly version: string;
  readonly machine: Machine;
  readonly interrupts: Interrupts;
  out(text: string): void;
  error(text: string): void;
  /** Loads the session and with it all native modules: only once it is sure that one is to run. */
  loadSession(): Promise<RunSession>;
  /** As {@link loadSession}, for `--clean`. */
  loadClean(): Promise<CleanKernel>;
}

/**
 * Does what the command line asks.
 *
 * @param words without the interpreter and the program
 * @returns the exit status
 */
export async function run(words: readonly string[], world: World): Promise<number> {
  try {
    const request = parseCommandLine(words, world.version);
    switch (request.kind) {
      case "print":
        world.out(request.text);
        return EXIT.ok;
      case "doctor":
        return await runDoctor(world);
      case "clean":
        return await runClean(request, world);
      case "session": {
        refuseOtherSystems(world.machine);
        const script = readScript(request.source);
        const runSession = await world.loadSession();
        return await runSession({ ...request.options, script }, world.interrupts);
      }
    }
  } catch (error) {
    world.error(sentenceOf(error));
    return error instanceof UsageError || error instanceof TargetError ? EXIT.unusable : EXIT.failed;
  }
}

async function runDoctor(world: World): Promise<number> {
  refuseOtherSystems(world.machine);
  const findings = await examine(world.machine);
  world.out(report(findings));
  return findings.some((finding) => finding.state === "no") ? EXIT.unusable : EXIT.ok;
}

async function runClean({ gdb, image }: Extract<Request, { kind: "clean" }>, world: World): Promise<number> {
  refuseOtherSystems(world.machine);
  const clean = await world.loadClean();
  const { lines, isClean } = clean(gdb, image);
  world.out(lines.map((line) => `${line}\n`).join(""));
  return isClean ? EXIT.ok : EXIT.failed;
}

function refuseOtherSystems({ platform, architecture }: Machine): void {
  if (platform === "linux" && architecture === "x64") return;
  throw new UsageError(`Trapline probes programs on Linux x86-64; this is ${platform} ${architecture}`);
}

/** One line for what we throw on purpose; the whole stack for what is a bug of ours. */
function sentenceOf(error: unknown): string {
  if (error instanceof TraplineError) {
    const remedy = error.remedy === undefined ? "" : ` (${error.remedy})`;
    return `trapline: ${`${error.message}${remedy}`.replaceAll(/\s*\n\s*/g, " ")}\n`;
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `trapline: a bug in trapline itself, please report it: ${stack}\n`;
}
