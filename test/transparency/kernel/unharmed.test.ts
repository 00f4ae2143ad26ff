// The quick one of `npm run transparency:kernel`.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { NEEDS_LAB } from "../../support/lab.js";
import { compareKernel } from "./compare.js";

/** What a run's length may differ by on a busy host, which it does more than by anything that we leave behind. */
const SLOWER = 4;

test(
  "a guest prints the same with its kernel's functions probed, and is as fast as ever after",
  NEEDS_LAB,
  async (t) => {
    const seed = Number(process.env["TRAPLINE_SEED"] ?? randomInt(2 ** 31));
    t.diagnostic(`TRAPLINE_SEED=${String(seed)}`);
    const comparison = await compareKernel({
      workload: "small",
      counts: [1, 100],
      seed,
      maxHits: 100,
      smp: 1,
      tell: (line) => {
        t.diagnostic(line);
      },
    });
    assert.ok(comparison.entered > 1000, `only ${String(comparison.entered)} functions are entered`);
    for (const { wanted, result, armed, hits } of comparison.runs) {
      assert.equal(result.output, comparison.bare);
      assert.ok(armed >= 0.9 * wanted, `${String(armed)} of ${String(wanted)} were armed`);
      // A single one, drawn by chance, may be of those that a run enters or not.
      if (wanted > 1) assert.ok(hits > 0, "no probe was hit");
    }
    assert.deepEqual(comparison.complaints, []);
    assert.ok(comparison.after < SLOWER * comparison.before, "it is slower than before");
  },
);
