// The programs of test/targets/odd: each checks one odd thing that Linux does, bare and with every function
// of it and of libc probed, as `npm run transparency -- DIR` runs them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { programsIn, runSuite } from "./suite.js";

const SOURCES = fileURLToPath(new URL("../../../test/targets/odd/", import.meta.url));
const BUILT = fileURLToPath(new URL("../../targets/odd/", import.meta.url));
const OPTIONS = { jobs: 2, bareLimit: 20, probedLimit: 60 };

test("odd programs are as bare with every function of theirs and of libc probed", needs("gcc"), async (t) => {
  for (const verdict of await runSuite(built(SOURCES, BUILT), OPTIONS, () => {}))
    await t.test(basename(verdict.program), (each) => {
      if (verdict.kind !== "fits") assert.fail(verdict.why);
      each.diagnostic(`${String(verdict.armed)} armed, ${String(verdict.hits)} hits`);
    });
});

/** Compiles the programs of a folder. */
function built(sources: string, into: string): readonly string[] {
  mkdirSync(into, { recursive: true });
  const names = readdirSync(sources).filter((name) => name.endsWith(".c"));
  for (const name of names) {
    const program = join(into, basename(name, ".c"));
    execFileSync("gcc", [
      "-O1",
      "-g",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-pthread",
      "-o",
      program,
      join(sources, name),
    ]);
  }
  const wanted = new Set(names.map((name) => basename(name, ".c")));
  return programsIn(into).filter((program) => wanted.has(basename(program)));
}
