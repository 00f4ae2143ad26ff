// `npm run transparency:kernel`: a guest's workload, bare and with 1, 100 and 2,000 kernel functions counted of
// those that it enters. Status 1 where it prints anything else, where its kernel complains, where it stays slow.
//
//   --seed=N          which functions; printed, so that a run can be had again
//   --counts=1,100    how many
//   --max-hits=N      each function is let go after so many
//   --smp=N           processors of the guest, 1 unless told
import { parseArgs } from "node:util";
import { compareKernel } from "./compare.js";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
    counts: { type: "string", default: "1,100,2000" },
    "max-hits": { type: "string", default: "500" },
    smp: { type: "string", default: "1" },
  },
});
const LEAST_HITS = 200_000;
/** The bare runs of one machine differ by as much on a busy host. */
const SLOWER = 1.5;

const comparison = await compareKernel({
  workload: "workload",
  counts: values.counts.split(",").map(Number),
  seed: Number(values.seed),
  maxHits: Number(values["max-hits"]),
  smp: Number(values.smp),
  tell: (line) => process.stdout.write(`${line}\n`),
});
const problems = [
  ...comparison.complaints,
  ...comparison.runs.flatMap(({ wanted, result }) =>
    result.output === comparison.bare ? [] : [`with ${String(wanted)} functions it prints something else`],
  ),
  ...(comparison.after > SLOWER * comparison.before ? ["after all it is slower than before"] : []),
];
const hits = comparison.runs.reduce((sum, run) => sum + run.hits, 0);
if (hits < LEAST_HITS) problems.push(`only ${String(hits)} hits in all`);
for (const problem of problems) process.stdout.write(`MISFIT ${problem}\n`);
process.stdout.write(
  `${String(hits)} hits in all; ${problems.length === 0 ? "the guest is unharmed" : "MISFIT"}\n`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
