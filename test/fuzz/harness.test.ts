// What the fuzzing would find, were it there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Edit, minimise } from "./edits.js";
import { Campaign } from "./campaign.js";

const EXPECTED: Readonly<Record<string, RegExp>> = {
  "throws a RangeError": /RangeError/,
  "overflows the stack": /Maximum call stack size exceeded/,
  "says a sentence without a name": /does not say where: something is damaged/,
  "believes a length": /memory: 2147483648 bytes at once/,
  "believes a count": /memory: 2147483648 bytes at once/,
  "fills the heap": /memory: .*out of memory|memory: .*limit/,
  "has no end": /no end: \d+ ms of processor time/,
};

test("each kind of defect of a reader is found, told with its seed, and made small", async () => {
  const told: string[] = [];
  await using campaign = new Campaign((line) => told.push(line), "defective", {
    milliseconds: 700,
    heapMegabytes: 24,
  });
  const readers = await campaign.readers(undefined);
  assert.deepEqual(
    readers.map(({ name }) => name),
    Object.keys(EXPECTED),
  );
  const results = await campaign.run({ readers, seed: 5, inputs: 1, milliseconds: 1e6 });
  for (const { name, failures } of results) {
    assert.equal(failures.length, 1, name);
    assert.match(failures[0]?.what ?? "", EXPECTED[name] ?? /never/, name);
    const at = told.findIndex((line) => line.startsWith(`${name}, seed 5: FAILED: `));
    // Of three changed bytes, the one that matters.
    assert.match(told[at + 1] ?? "", /^ {2}zeroes: 1 bytes at 40 by [0-9a-f]{2}$/, name);
    assert.match(told[at + 2] ?? "", /^ {2}made small in \S/, name);
  }
});

test("edits are left out and shortened as far as the failure stays", async () => {
  const edits: Edit[] = [1, 2, 3, 4, 5].map((at) => ({
    at,
    remove: 0,
    insert: Buffer.from(`a long insert ${String(at)}!`),
  }));
  const small = await minimise(edits, (candidate) =>
    Promise.resolve(candidate.some(({ insert }) => Buffer.from(insert).includes("4!"))),
  );
  assert.deepEqual(
    small.map(({ at, insert }) => [at, Buffer.from(insert).toString()]),
    [[4, "4!"]],
  );
});
