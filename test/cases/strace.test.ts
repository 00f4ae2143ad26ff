// What the tracer asks of the kernel, counted by another tracer of the tracer.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";

const COMMAND = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const NEEDS = needs("gcc", "strace");
const ROUNDS = 5;

/** Counts the single-steps of the command line while a script watches damaged.c, which comes by five times. */
async function singleSteps(probes: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-strace-"));
  try {
    const log = join(folder, "log");
    const { pid, ended } = await startStopping([
      target("damaged"),
      "none",
      "stop",
      `>${join(folder, "output")}`,
    ]);
    const script = `global hits probe begin { println("armed") } ${probes} probe end { println(hits) }`;
    const strace = [
      "-f",
      "-e",
      "trace=ptrace",
      "-o",
      log,
      process.execPath,
      COMMAND,
      "-e",
      script,
      "-x",
      String(pid),
    ];
    const tracer = spawn("strace", strace, { stdio: ["ignore", "pipe", "inherit"] });
    let printed = "";
    for await (const text of tracer.stdout.setEncoding("latin1")) {
      if (printed === "" && String(text).startsWith("armed")) process.kill(pid, "SIGCONT");
      printed += String(text);
    }
    if (tracer.exitCode === null) await once(tracer, "exit");
    assert.equal(await ended, 0);
    assert.equal(printed, `armed\n${String(ROUNDS)}\n`);
    const requests = readFileSync(log, "latin1");
    assert.ok(requests.split("ptrace(PTRACE_CONT,").length > ROUNDS, "the requests are in the log");
    return requests.split("ptrace(PTRACE_SINGLESTEP,").length - 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test(
  "[S9 pre] [S9 fault] the kernel is asked for no step for a hit, also beside a probe with a post phase",
  NEEDS,
  async () => {
    const once = await singleSteps('probe process.function("the_damage") { hits++ }');
    assert.equal(once, 0);
    const beside = await singleSteps(
      `probe process.function("the_damage") { hits++ }
     probe fault process.function("the_damage") { hits += 100 }
     probe post process.function("the_jump") { hits += faulted() }`,
    );
    assert.equal(beside, 0);
  },
);
