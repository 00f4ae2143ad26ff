import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { needsGcc, run, temporaryFolder } from "../../symbols/build-programs.js";
import { stepThrough } from "./steps.js";

const folder = temporaryFolder();
const SOURCE = join(import.meta.dirname, "../../../../test/arch/placing/ways-in.cc");

/**
 * Compilers' options that change how functions are come into. Linked statically: the libraries' code is gone through
 * as well, and the dynamic linker's millions of instructions are not.
 */
const WAYS: readonly (readonly string[])[] = [
  ["-O2", "-static"],
  ["-O0", "-static-pie", "-fcf-protection"],
];

for (const [index, flags] of WAYS.entries()) {
  test(`nobody comes to an instruction that a jump would overwrite: ${flags.join(" ")}`, needsGcc, () => {
    const program = join(folder, `ways-in-${String(index)}`);
    run("g++", ...flags, SOURCE, "-o", program);
    const { steps, inside, strays } = stepThrough(folder, 150_000, program);
    assert.deepEqual(strays.slice(0, 5), []);
    assert.ok(steps > 50_000, `${String(steps)} steps`);
    // Else the test would show nothing.
    assert.ok(
      inside > 1_000,
      `${String(inside)} of the instructions that were executed are in a jump's place`,
    );
  });
}
