// `npm run soak`: random probes on ten programs, for an hour unless told otherwise; a line a round.
//
//   npm run soak -- --minutes=5
//   npm run soak -- --seed=4711           that round alone
import { parseArgs } from "node:util";
import { Rounds } from "./round.js";

const { values } = parseArgs({
  options: { minutes: { type: "string" }, seed: { type: "string" } },
});
/** A seed alone is one round played again. */
const oneRound = values.seed !== undefined && values.minutes === undefined;
const minutes = Number(values.minutes ?? 60);
if (!(minutes > 0)) {
  process.stderr.write(`--minutes=${String(values.minutes)}: a number of minutes is needed, more than 0\n`);
  process.exit(2);
}

using rounds = new Rounds();
const end = performance.now() + minutes * 60_000;
const first = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
let seed = first;
let hits = 0;
let failures = 0;
do {
  try {
    const played = rounds.play(seed);
    hits += played.hits;
    process.stdout.write(
      `seed ${String(seed)}: ${played.program}, ${played.phases}: ${String(played.armed)} armed, ` +
        `${String(played.refused)} refused, ${String(played.hits)} hits${played.left ? ", left in the middle" : ""}\n`,
    );
  } catch (error) {
    failures++;
    process.stdout.write(
      `seed ${String(seed)}: FAILED: ${error instanceof Error ? error.message : String(error)}\n`,
    );
  }
  seed++;
} while (!oneRound && performance.now() < end);
process.stdout.write(
  `${String(seed - first)} rounds from seed ${String(first)}, ${String(hits)} hits, ${String(failures)} failed\n`,
);
process.exitCode = failures > 0 ? 1 : 0;
