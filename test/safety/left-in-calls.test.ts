// A target that is left while it stands at the entry or the exit of a system call.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Engine } from "../../src/session/engine.js";
import { ProcessTracee } from "../../src/session/process/tracee.js";
import { LinuxTarget } from "../../src/targets/linux/target.js";
import { CONTINUE } from "../../src/targets/target.js";
import { needs } from "../support/needs.js";

const PROGRAM =
  'my $n = 0; for (1 .. 30) { open my $f, "<", "/dev/null"; $n++ } open my $o, ">", "$ARGV[0].new"; print $o "done $n\\n"; close $o; rename "$ARGV[0].new", $ARGV[0]';

class Left extends Error {}

/** Leaves the program at its `number`th stop of that phase. @returns what it wrote in the end */
async function leftAt(file: string, phase: "entry" | "exit", number: number): Promise<string> {
  const target = LinuxTarget.launch(["perl", "-e", PROGRAM, file]);
  let stops = 0;
  const engine = new Engine(new ProcessTracee(target), {
    probeDisarmed: () => undefined,
    handlerFailed: () => undefined,
    locationLost: () => undefined,
    systemCall: (_thread, at) => {
      if (at === phase && ++stops === number) throw new Left();
    },
  });
  engine.begin();
  target.traceSystemCalls(true);
  for (const thread of [...target.threads()]) target.resume(thread, CONTINUE);
  assert.throws(() => {
    for (;;) engine.step(performance.now() + 1000, () => false);
  }, Left);
  await engine.leave();
  for (let tries = 0; !existsSync(file) && tries < 1000; tries++) await setTimeout(10);
  return readFileSync(file, "latin1");
}

for (const phase of ["entry", "exit"] as const) {
  test(
    `a program that is left at the ${phase} of any of its system calls makes that call, and goes on`,
    needs("perl"),
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "trapline-left-"));
      try {
        execFileSync("perl", ["-e", PROGRAM, join(folder, "bare")]);
        const bare = readFileSync(join(folder, "bare"), "latin1");
        for (const number of [1, 2, 3, 5, 8, 40, 70, 90])
          assert.equal(
            await leftAt(join(folder, String(number)), phase, number),
            bare,
            `stop ${String(number)}`,
          );
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
}
