import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { ProcessorWait } from "../../../src/targets/linux/processor-wait.js";

const LOOP = "while :; do :; done";
/** Longer than a few ticks of the slowest clock. */
const BETWEEN = 60;

function start(...words: readonly string[]): ChildProcess & { readonly pid: number } {
  const child = spawn("taskset", ["1", ...words], { stdio: "ignore" });
  assert.ok(child.pid !== undefined);
  return Object.assign(child, { pid: child.pid });
}

async function eventually(wait: ProcessorWait, expected: boolean): Promise<void> {
  for (let tries = 0; wait.lasts() !== expected; tries++) {
    assert.ok(tries < 500, `never ${String(expected)}`);
    await setTimeout(BETWEEN);
  }
}

test("a thread that others keep from its processor waits; one that sleeps, runs or is gone does not", async () => {
  const runs = start("sh", "-c", LOOP);
  // Runs when nobody else wants to.
  const starves = start("chrt", "--idle", "0", "sh", "-c", LOOP);
  const sleeps = start("sleep", "60");
  const all = [runs, starves, sleeps];
  try {
    await eventually(new ProcessorWait(starves.pid), true);
    await eventually(new ProcessorWait(runs.pid), false);
    const asleep = new ProcessorWait(sleeps.pid);
    await setTimeout(BETWEEN);
    for (let times = 0; times < 3; times++) {
      await setTimeout(BETWEEN);
      assert.equal(asleep.lasts(), false);
    }
    assert.equal(new ProcessorWait(2 ** 22).lasts(), false);
  } finally {
    for (const child of all) child.kill("SIGKILL");
  }
});
