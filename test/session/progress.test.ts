import assert from "node:assert/strict";
import { test } from "node:test";
import { Progress } from "../../src/session/progress.js";

function show(isTerminal: boolean, times: readonly number[]): string[] {
  let now = 0;
  const written: string[] = [];
  const progress = new Progress(
    "arming probes",
    { isTerminal, write: (text) => written.push(text) },
    () => now,
  );
  times.forEach((time, index) => {
    now = time;
    progress.advance(index + 1, times.length);
  });
  progress.end();
  return written;
}

void test("work of less than a second shows nothing", () => {
  assert.deepEqual(show(true, [0, 500, 999]), []);
});

void test("longer work shows a line, not too often, and takes it away", () => {
  assert.deepEqual(show(true, [0, 1000, 1050, 1100]), [
    "\r\u001b[Karming probes: 2 of 4",
    "\r\u001b[Karming probes: 4 of 4",
    "\r\u001b[K",
  ]);
});

void test("what is not a terminal is shown nothing", () => {
  assert.deepEqual(show(false, [0, 5000]), []);
});
