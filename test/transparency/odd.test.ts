// The programs of test/targets/odd: each checks one odd thing that Linux does, bare and with every function
// of it and of libc probed, as `npm run transparency -- DIR` runs them.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { runSuite, type Verdict } from "./suite.js";

const SOURCES = fileURLToPath(new URL("../../../test/targets/odd/", import.meta.url));
const BUILT = fileURLToPath(new URL("../../targets/odd/", import.meta.url));
const OPTIONS = { jobs: 2, bareLimit: 20, probedLimit: { factor: 100, least: 60, most: 120 } };

test(
  "odd programs are as bare with every function of theirs and of libc probed",
  needs("gcc", "libc6-dbg"),
  async (t) => {
    for (const verdict of await verdicts("."))
      await t.test(basename(verdict.program), (each) => {
        if (verdict.kind !== "fits") assert.fail(verdict.why);
        assert.ok(verdict.armed > 3000 && verdict.hits > 20, JSON.stringify(verdict));
        each.diagnostic(`${String(verdict.armed)} armed, ${String(verdict.hits)} hits`);
      });
  },
);

/** What a program can see of us, as docs/what-a-program-sees.md lists it: the check that tells it. */
const SEEN: Readonly<Record<string, RegExp>> = {
  maps: /not so: anonymous == 0/,
  "own-text": /not so: .*memcmp\(stored, from/,
  "ptrace-child": /not so: seized == 0/,
  "ptrace-me": /not so: ptrace\(PTRACE_TRACEME/,
  "tracer-pid": /not so: .*TracerPid/,
};

test(
  "what a program can see of us is what is listed, and each of it shows",
  needs("gcc", "libc6-dbg"),
  async (t) => {
    const found = await verdicts("known");
    assert.deepEqual(found.map(({ program }) => basename(program)).sort(), Object.keys(SEEN));
    await eachMisfit(t, found, SEEN);
  },
);

async function eachMisfit(
  t: { test: (name: string, body: () => void) => Promise<void> },
  found: readonly Verdict[],
  reasons: Readonly<Record<string, RegExp>>,
): Promise<void> {
  for (const verdict of found) {
    const name = basename(verdict.program);
    await t.test(name, () => {
      assert.ok(verdict.kind === "misfit", `it is no misfit: ${JSON.stringify(verdict)}`);
      assert.match(verdict.why, reasons[name] ?? /^$/);
    });
  }
}

/** Compiles the programs of a folder and runs them. */
async function verdicts(folder: string): Promise<readonly Verdict[]> {
  const into = join(BUILT, folder);
  mkdirSync(into, { recursive: true });
  const programs = readdirSync(join(SOURCES, folder))
    .filter((name) => name.endsWith(".c"))
    .map((name) => {
      const program = join(into, basename(name, ".c"));
      const source = join(SOURCES, folder, name);
      execFileSync("gcc", ["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, source]);
      return program;
    });
  const found = await runSuite(programs, OPTIONS, () => {});
  return found.toSorted((one, other) => one.program.localeCompare(other.program));
}
