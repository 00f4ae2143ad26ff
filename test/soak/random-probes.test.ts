// A minute of `npm run soak`, with the same seeds each time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { Rounds } from "./round.js";

const MINUTE_MS = 60_000;
const LEAST_ROUNDS = 8;

test("random probes in every phase on the instructions of ten programs: none notices", needs("perl"), (t) => {
  using rounds = new Rounds();
  const end = performance.now() + MINUTE_MS;
  let hits = 0;
  let seed = 1;
  for (; seed <= LEAST_ROUNDS || performance.now() < end; seed++) {
    const played = rounds.play(seed);
    hits += played.hits;
    const share = played.armed / (played.armed + played.refused);
    assert.ok(share > 0.95, `seed ${String(seed)}: ${JSON.stringify(played)}`);
  }
  t.diagnostic(`${String(seed - 1)} rounds, ${String(hits)} hits`);
  assert.ok(hits > 1000, `${String(hits)} hits`);
});
