// Ten seconds of `npm run fuzz`, with the same seed each time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Campaign, describeReader } from "./campaign.js";

const SEED = 1;
const MILLISECONDS = 10_000;
/** So many inputs tell whether a reader refuses everything; a busy machine reads five of some in its time. */
const ENOUGH = 100;

test("damaged input, for every reader: an answer or a sentence, in bounded time and memory", async (t) => {
  const told: string[] = [];
  await using campaign = new Campaign((line) => told.push(line));
  const readers = await campaign.readers(undefined);
  const results = await campaign.run({ readers, seed: SEED, inputs: Infinity, milliseconds: MILLISECONDS });
  for (const result of results) t.diagnostic(describeReader(result));
  assert.deepEqual(told, []);
  for (const { name, tally, failures } of results) {
    assert.equal(failures.length, 0, name);
    assert.ok(tally.inputs > 0, `${name} was given nothing`);
    let answered = tally.outcomes.answered + tally.outcomes.warned;
    if (answered === 0 && tally.inputs < ENOUGH) {
      // What follows in the same row.
      const plan = { seed: SEED + tally.inputs, inputs: ENOUGH, milliseconds: 6 * MILLISECONDS };
      const [more] = await campaign.run({ ...plan, readers: await campaign.readers(name) });
      assert.ok(more !== undefined, name);
      assert.equal(more.failures.length, 0, name);
      answered = more.tally.outcomes.answered + more.tally.outcomes.warned;
    }
    assert.ok(answered > 0, `${name} refused everything`);
  }
  // A busy machine reads less; none reads so little.
  const inputs = results.reduce((sum, { tally }) => sum + tally.inputs, 0);
  assert.ok(inputs > 500, `${String(inputs)} inputs`);
});
