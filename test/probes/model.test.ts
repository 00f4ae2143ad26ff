import { test } from "node:test";
import fc from "fast-check";
import { actions, Model } from "./model.js";

const RUNS = 10_000;

test("whatever hits, faults, signals, registrations and thread ends come in what order, the core keeps its promises", () => {
  fc.assert(
    fc.property(actions, (script) => {
      new Model().run(script);
    }),
    { numRuns: RUNS, seed: 20261123, includeErrorInReport: true },
  );
});
