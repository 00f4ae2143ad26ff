// A share of `npm run attachments`: the same programs, fewer times.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { describe, runCycles } from "./cycles.js";
import { SUBJECTS } from "./subjects.js";

const CYCLES = 20;

for (const subject of SUBJECTS) {
  const packages = subject.needs.includes("redis-server") ? ["redis-server", "redis-tools"] : ["gcc"];
  test(
    `${subject.name}: attached to and let go again and again, nothing lost, nothing grown`,
    needs(...packages),
    async (t) => {
      const outcome = await runCycles(subject, CYCLES);
      t.diagnostic(describe(outcome));
      assert.equal(outcome.wrong, "");
      assert.equal(outcome.after.descriptors, outcome.before.descriptors);
      assert.ok(outcome.after.maps <= outcome.before.maps + 2, describe(outcome));
      assert.equal(outcome.after.threads, outcome.before.threads);
      assert.ok(outcome.ownAfter.descriptors <= outcome.ownBefore.descriptors + 2, describe(outcome));
    },
  );
}
