import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../build-programs.js";
import { clangBuild, type CLANG_BUILDS } from "./clang-programs.js";
import { sourceOf } from "./stepped.js";

const ALWAYS = ["-nostdlib", "-static", "-no-pie", "-fno-pie", "-fno-stack-protector", "-w"];

/** Ways to build program.c that write debug information differently. */
export const BUILDS = {
  "gcc -O2 -gdwarf-5": ["-O2", "-gdwarf-5"],
  "gcc -O2 -gdwarf-4, compressed": ["-O2", "-gdwarf-4", "-gz=zlib"],
  "gcc -O2 -gdwarf64": ["-O2", "-gdwarf-5", "-gdwarf64"],
  "gcc -Og -fdebug-types-section": ["-Og", "-gdwarf-5", "-fdebug-types-section"],
  "gcc -O0": ["-O0", "-gdwarf-5"],
} as const satisfies Record<string, readonly string[]>;

/** @returns the path of the program */
export function builtBy(folder: string, name: string, flags: readonly string[]): string {
  const output = join(folder, name.replace(/\W+/g, "-"));
  run("gcc", sourceOf("program.c"), "-g", ...flags, ...ALWAYS, "-o", output);
  return output;
}

/** @returns the path of the program, written there */
export function clangBuiltIn(folder: string, name: (typeof CLANG_BUILDS)[number]): string {
  const output = join(folder, name.replace(/\W+/g, "-"));
  writeFileSync(output, clangBuild(name), { mode: 0o755 });
  return output;
}
