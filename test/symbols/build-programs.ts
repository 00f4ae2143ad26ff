import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Whether tests that build programs can run: the compiler and binutils come together. */
const hasGcc = runs("gcc") && runs("readelf") && runs("objcopy");

/** For the options of a test: runs it where programs can be built, else counts it as skipped. */
export const needsGcc = { skip: hasGcc ? false : "needs gcc" };

/** A folder that is gone when the tests of this file are. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "trapline-symbols-"));
  process.on("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Compiles one source, C unless the flags say otherwise, and returns the path of the result. */
export function build(folder: string, name: string, source: string, ...flags: readonly string[]): string {
  const assembler = flags.includes("assembler");
  const file = join(folder, `${name}.${assembler ? "s" : "c"}`);
  const output = join(folder, name);
  writeFileSync(file, source);
  run("gcc", file, ...flags.filter((flag) => flag !== "assembler"), "-o", output);
  return output;
}

export function run(command: string, ...args: readonly string[]): string {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${result.stderr}`);
  return result.stdout;
}

function runs(command: string): boolean {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

/** The C library of this machine, whatever the folder. */
export function libcPath(): string {
  return run("gcc", "-print-file-name=libc.so.6").trim();
}
