// The same 1,000 programs each time; `npm run fuzz -- --reader=native` has others.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../../support/needs.js";
import { fuzzBatch } from "./fuzz.js";

const PROGRAMS = 1000;

test("random handlers mean the same as machine code and in JavaScript", needs("gcc"), (t) => {
  let [native, seed] = [0, 1];
  for (; native < PROGRAMS; seed += 250) {
    const batch = fuzzBatch(seed, 250);
    assert.deepEqual(batch.wrong, []);
    native += batch.native;
  }
  t.diagnostic(`${String(native)} programs of ${String(seed - 1)} seeds`);
  // What is refused is not compared.
  assert.ok(native > (seed - 1) / 2, `${String(native)} of ${String(seed - 1)}`);
});
