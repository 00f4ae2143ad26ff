import fc from "fast-check";
import { scripts } from "./actions.js";
import { Model } from "./model.js";

/** Always the same runs, so that what one machine finds every machine finds. */
const SEED = 20261123;

/**
 * Runs the model's scripts until a promise of the core is broken.
 *
 * @returns the promise that was broken, and how; undefined where all were kept
 */
export function findBrokenPromise(runs: number, shrink: boolean): string | undefined {
  return breaks(runs, shrink, false) ?? breaks(runs, shrink, true);
}

/** @param inPlace whether the target has no slots: see FakeTarget */
function breaks(runs: number, shrink: boolean, inPlace: boolean): string | undefined {
  const result = fc.check(
    fc.property(scripts, (script) => {
      new Model(inPlace).run(script);
    }),
    { numRuns: runs, seed: SEED, endOnFailure: !shrink },
  );
  if (!result.failed) return undefined;
  const cause: unknown = result.errorInstance;
  // A mutant that does not even run shows nothing.
  if (cause instanceof SyntaxError || cause instanceof ReferenceError) throw cause;
  const what = cause instanceof Error ? cause.message : String(cause);
  if (!shrink) return what;
  const where = cause instanceof Error ? (cause.stack ?? "") : "";
  return `${what}\non a target ${inPlace ? "without" : "with"} slots, after ${JSON.stringify(result.counterexample, undefined, 2)}\n${where}`;
}
