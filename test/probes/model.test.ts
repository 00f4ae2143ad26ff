import { test } from "node:test";
import assert from "node:assert/strict";
import { findBrokenPromise } from "./check-model.js";
import { RUNS } from "./actions.js";

test("whatever hits, faults, signals, registrations and thread ends come in what order, the core keeps its promises", () => {
  assert.equal(findBrokenPromise(RUNS, true), undefined);
});
