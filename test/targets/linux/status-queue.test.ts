import assert from "node:assert/strict";
import { test } from "node:test";
import { StatusQueue } from "../../../src/targets/linux/status-queue.js";

function rest(queue: StatusQueue): (readonly [number, number])[] {
  const left: (readonly [number, number])[] = [];
  while (queue.shift()) left.push([queue.thread, queue.status]);
  return left;
}

test("a thread's status can be had before its turn, and the others keep theirs", () => {
  const queue = new StatusQueue();
  for (let thread = 1; thread <= 3; thread++)
    for (const status of [10, 20]) queue.push(thread, thread + status);
  assert.ok(queue.shift());
  const isLate = (status: number): boolean => status > 20;
  assert.equal(queue.withdraw(2, isLate), 22);
  assert.equal(queue.withdraw(2, isLate), undefined);
  assert.equal(
    queue.withdraw(4, () => true),
    undefined,
  );
  assert.deepEqual(rest(queue), [
    [1, 21],
    [2, 12],
    [3, 13],
    [3, 23],
  ]);
  assert.equal(
    queue.withdraw(1, () => true),
    undefined,
  );
});
