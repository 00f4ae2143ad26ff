import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, after, test } from "node:test";
import type { Address } from "../../../src/base/address.js";
import { LinuxTarget } from "../../../src/targets/linux/target.js";
export { INT3, mainThread } from "./support-plain.js";
import {
  CONTINUE,
  type ExitStatus,
  type Resume,
  type Stop,
  type ThreadId,
} from "../../../src/targets/target.js";

const folder = mkdtempSync(path.join(os.tmpdir(), "trapline-linux-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const haveCompiler = ((): boolean => {
  try {
    execFileSync("gcc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

/** A test that needs gcc, skipped (and counted as such) where there is none. */
export function testCompiled(name: string, body: (context: TestContext) => void | Promise<void>): void {
  // A target that does not answer must not hang the whole run.
  void test(name, { skip: haveCompiler ? false : "gcc is not installed", timeout: 20_000 }, body);
}

const built = new Map<string, string>();

/** Compiles C source. @returns path of the program */
export function compile(
  name: string,
  source: string,
  flags: readonly string[] = ["-O1", "-no-pie", "-pthread"],
): string {
  const key = `${name} ${flags.join(" ")}`;
  const before = built.get(key);
  if (before !== undefined) return before;
  const program = path.join(folder, name);
  writeFileSync(`${program}.c`, source);
  execFileSync("gcc", [...flags, "-o", program, `${program}.c`], { stdio: ["ignore", "inherit", "inherit"] });
  built.set(key, program);
  return program;
}

export function temporary(name: string): string {
  return path.join(folder, name);
}

/** Address of a symbol of a program that is not position-independent. */
export function symbol(program: string, name: string): Address {
  for (const line of execFileSync("nm", [program], { encoding: "utf8" }).split("\n")) {
    const [value, , found] = line.split(" ");
    if (found === name && value !== undefined) return Number.parseInt(value, 16) as Address;
  }
  throw new Error(`${program} has no ${name}`);
}

/** Starts a program that is nobody's child, its output in a file. */
export function background(argv: readonly string[]): { pid: number; output: () => string } {
  const file = temporary(`out-${Math.random().toString(36).slice(2)}`);
  const text = execFileSync("sh", ["-c", `"$@" >${file} 2>&1 </dev/null & echo $!`, "sh", ...argv], {
    encoding: "utf8",
  });
  return { pid: Number(text), output: () => readFileSync(file, "utf8") };
}

/** Waits, a little at a time, until something holds. */
export function until(what: string, holds: () => boolean, ms = 30_000): void {
  const end = performance.now() + ms;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (!holds()) {
    if (performance.now() > end) throw new Error(`timeout: ${what}`);
    Atomics.wait(cell, 0, 0, 5);
  }
}

export function kill(pid: number, signal: NodeJS.Signals = "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** Launches with output to a file, by the shell, which execs the program: main is the program. */
export function launchTo(file: string, argv: readonly string[]): LinuxTarget {
  const target = LinuxTarget.launch(["/bin/sh", "-c", `exec "$@" >${file} 2>&1`, "sh", ...argv]);
  for (const thread of target.threads()) target.resume(thread, CONTINUE);
  const stop = target.wait(performance.now() + 5000);
  if (stop?.kind !== "exec") throw new Error(`no exec: ${JSON.stringify(stop)}`);
  return target;
}

export interface Course {
  readonly stops: Stop[];
  readonly ends: Map<ThreadId, ExitStatus>;
}

/**
 * Sets all stopped threads going and lets the program run to its end; `decide` says how to go on
 * from a stop (default: continue, signals delivered), `"end"` ends the run there,
 * `"resumed"` says that `decide` did it itself.
 */
export function course(
  target: LinuxTarget,
  decide: (stop: Stop) => Resume | "end" | "resumed" | undefined = () => undefined,
  ms = 10_000,
): Course {
  const result: Course = { stops: [], ends: new Map() };
  const end = performance.now() + ms;
  for (const thread of target.threads()) if (target.isStopped(thread)) target.resume(thread, CONTINUE);
  while ([...target.threads()].length > 0) {
    const stop = target.wait(end);
    if (stop === undefined) throw new Error(`timeout after ${JSON.stringify(result.stops.slice(-5))}`);
    result.stops.push({ ...stop });
    if (stop.kind === "thread-gone" && stop.processExit !== undefined)
      result.ends.set(stop.thread, stop.processExit);
    const how = decide(stop);
    if (how === "end") break;
    if (stop.kind === "thread-gone" || how === "resumed") continue;
    target.resume(stop.thread, how ?? (stop.kind === "signal" ? { kind: "deliver" } : CONTINUE));
  }
  return result;
}

export const kinds = (stops: readonly Stop[]): string[] => stops.map((stop) => stop.kind);
