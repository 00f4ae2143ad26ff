// What `npm run transparency -- DIR` says of a folder of self-checking programs.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { programsIn, runSuite, type Verdict, withoutNumbers } from "./suite.js";

test(
  "a folder of programs: those as bare, those that fail bare, and the one that notices",
  needs("gcc", "libc6-dbg"),
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "trapline-suite-test-"));
    try {
      for (const name of ["calls", "leaves_child", "moves", "threads", "tracer_pid"])
        copyFileSync(target(name), join(folder, name));
      copyFileSync(target("calls"), join(folder, "a name with 'quotes'"));
      copyFileSync("/bin/false", join(folder, "fails"));
      writeFileSync(join(folder, "script"), "#!/bin/sh\nexit 0\n", { mode: 0o755 });
      writeFileSync(join(folder, "notes"), "no program\n");
      const told: Verdict[] = [];
      const options = { jobs: 2, bareLimit: 60, probedLimit: { factor: 100, least: 120, most: 120 } };
      await runSuite(programsIn(folder), options, (verdict) => told.push(verdict));
      const found = told.map((verdict) => {
        const hits = verdict.kind === "fits" && verdict.armed > 3000 && verdict.hits > 100;
        return `${basename(verdict.program)} ${hits ? "hit" : verdict.kind}${verdict.kind === "fits" ? "" : `: ${verdict.why}`}`;
      });
      assert.deepEqual(found.sort(), [
        "a name with 'quotes' hit",
        "calls hit",
        "fails left-out: status 1",
        "leaves_child hit",
        "moves hit",
        "script left-out: no program of machine code",
        "threads hit",
        'tracer_pid misfit: its last line is "traced" in place of "alone"',
      ]);
      const main = join(import.meta.dirname, "main.js");
      const whole = run(process.execPath, main, folder);
      assert.equal(whole.status, 1);
      assert.match(
        whole.stdout,
        /^MISFIT .*tracer_pid: .*\n8 programs: 5 as bare, 1 misfits, 2 left out, which fail bare; \d+ hits\n$/,
      );
      assert.equal(run(process.execPath, main).status, 2);
      assert.match(run(process.execPath, main, join(folder, "nothing")).stderr, /no such folder/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test("numbers in a last line are left out, whatever way they are written", () => {
  assert.equal(withoutNumbers("pid 4711 at 0x7ffd12ab took 1.25 s"), "pid # at # took # s");
  assert.equal(withoutNumbers("at 00007f3a5c00e000"), "at #");
  assert.equal(withoutNumbers("passed: dead beef"), "passed: dead beef");
});
