import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const TARGETS = `${ROOT}test/targets/`;
const BUILT = `${ROOT}build/targets/`;

/** Path of a program of test/targets, compiled when its source is newer. */
export function target(name: string, ...flags: readonly string[]): string {
  const source = [".c", ".S", ".cc"]
    .map((ending) => `${TARGETS}${name}${ending}`)
    .find((path) => existsSync(path));
  if (source === undefined) throw new Error(`test/targets has no ${name}`);
  const program = `${BUILT}${name}`;
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(BUILT, { recursive: true });
    const compiler = source.endsWith(".cc") ? "g++" : "gcc";
    const own = `${program}.${String(process.pid)}`;
    execFileSync(compiler, ["-O1", "-g", "-pthread", "-o", own, source, ...flags]);
    execFileSync("mv", [own, program]);
  }
  return program;
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
  readonly signal: string | null;
}

/** Runs a program to its end. */
export function run(program: string, ...words: readonly string[]): Outcome {
  const { stdout, stderr, status, signal } = spawnSync(program, words, {
    encoding: "latin1",
    timeout: 60_000,
    maxBuffer: 2 ** 28,
  });
  return { stdout, stderr, status, signal };
}

/** Runs the command line that is shipped. */
export function trapline(...words: readonly string[]): Outcome {
  return run(process.execPath, `${ROOT}dist/cli/main.js`, ...words);
}

/** The lines that a script printed, without those of its target. */
export function printed(outcome: Outcome, bare: Outcome): string {
  if (!outcome.stdout.includes(bare.stdout)) {
    throw new Error(
      `the target printed something else:\n${outcome.stdout}${outcome.stderr}\nbare:\n${bare.stdout}`,
    );
  }
  return outcome.stdout.replace(bare.stdout, "");
}
