import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { SignalInterrupts } from "../../src/cli/interrupts.js";

function start(): {
  source: EventEmitter;
  interrupts: SignalInterrupts;
  counts: number[];
  abandoned: () => number;
} {
  const source = new EventEmitter();
  let abandoned = 0;
  const interrupts = new SignalInterrupts(source, () => abandoned++);
  return { source, interrupts, counts: [], abandoned: () => abandoned };
}

void test("the first Ctrl-C ends as exit() does, the second at once", () => {
  const { source, interrupts, counts } = start();
  interrupts.onInterrupt((count) => counts.push(count));
  source.emit("SIGINT");
  source.emit("SIGINT");
  assert.deepEqual(counts, [1, 2]);
});

void test("SIGTERM and SIGHUP end as exit() does, however many come", () => {
  const { source, interrupts, counts } = start();
  interrupts.onInterrupt((count) => counts.push(count));
  for (const signal of ["SIGTERM", "SIGHUP", "SIGTERM"]) source.emit(signal);
  assert.deepEqual(counts, [1]);
  source.emit("SIGINT");
  assert.deepEqual(counts, [1, 2], "who then sits at the keyboard can still hurry it");
});

void test("a signal that comes before the session listens is not lost", () => {
  const { source, interrupts, counts, abandoned } = start();
  source.emit("SIGTERM");
  interrupts.onInterrupt((count) => counts.push(count));
  assert.deepEqual(counts, [1]);
  assert.equal(abandoned(), 0);
});

void test("a second Ctrl-C before the session listens abandons it", () => {
  const { source, abandoned } = start();
  source.emit("SIGINT");
  source.emit("SIGINT");
  assert.equal(abandoned(), 1);
});

void test("afterwards nothing listens any more", () => {
  const { source, interrupts } = start();
  interrupts[Symbol.dispose]();
  assert.deepEqual(source.eventNames(), []);
});
