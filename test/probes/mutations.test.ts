import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { RUNS } from "./actions.js";
import { judge, makeMutant, removeMutants, type Verdict } from "./mutants.js";
import { MUTATIONS } from "./mutations.js";

/** Enough to see that a copy without a bug keeps its promises; model.test.ts does all of the runs. */
const CONTROL_RUNS = 1_000;
/** Processes at a time. */
const JUDGES = 2;

before(removeMutants);
after(removeMutants);

test("a copy of the core without a planted bug keeps its promises", async () => {
  const verdicts: Verdict[] = [];
  await judge([await makeMutant("control", undefined)], CONTROL_RUNS, (_, verdict) => verdicts.push(verdict));
  assert.deepEqual(verdicts, [{ kind: "not found" }]);
});

test("the model finds each planted bug", async (each) => {
  const folders: string[] = [];
  for (const [index, mutation] of MUTATIONS.entries())
    folders.push(await makeMutant(String(index), mutation));
  const verdicts = new Map<number, Verdict>();
  const share = Math.ceil(folders.length / JUDGES);
  const shares = Array.from({ length: JUDGES }, (_, judge) => judge * share);
  await Promise.all(
    shares.map((first) =>
      judge(folders.slice(first, first + share), RUNS, (index, verdict) =>
        verdicts.set(first + index, verdict),
      ),
    ),
  );
  for (const [index, { file, bug }] of MUTATIONS.entries())
    await each.test(`${file}: ${bug}`, (planted) => {
      const verdict = verdicts.get(index);
      assert(verdict !== undefined, "the mutant was not tried");
      assert(verdict.kind !== "broken", verdict.kind === "broken" ? verdict.why : "");
      assert(verdict.kind === "found", "no promise was broken");
      planted.diagnostic(verdict.promise);
    });
});
