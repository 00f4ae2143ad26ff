import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The clone. Compiled, this file is in build/bench. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Compiles what is probed. @throws Error there is no compiler, or it fails */
export function compilePrograms(folder: string): { readonly hits: string; readonly large: string } {
  const hits = join(folder, "hits");
  compile(["-O2", "-pthread", "-o", hits, join(ROOT, "bench/program.c")]);
  const source = join(folder, "large.c");
  const functions = Array.from(
    { length: LARGE },
    (_, index) => `void many_${String(index)}(void) { n += ${String(index)}; }`,
  );
  writeFileSync(
    source,
    `volatile long n;\n${functions.join("\n")}\n#include "${join(ROOT, "bench/program.c")}"\n`,
  );
  const large = join(folder, "large");
  compile(["-O1", "-pthread", "-o", large, source]);
  return { hits, large };
}

/** Functions `many_…` in the large program. */
export const LARGE = 10_000;

function compile(args: readonly string[]): void {
  const done = spawnSync("gcc", args, { encoding: "utf8" });
  if (done.error !== undefined)
    throw new Error(
      `the bench compiles what it probes: apt-get install gcc libc6-dev (${done.error.message})`,
    );
  if (done.status !== 0) throw new Error(`gcc failed:\n${done.stderr}`);
}
