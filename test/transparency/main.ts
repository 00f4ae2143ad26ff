// `npm run transparency -- DIR`: each executable of a folder, which checks itself, is run bare and then
// with every function of it and of libc probed. Prints the misfits with their reasons, and one line of counts.
//
//   --jobs=N          programs at a time; as many as there are processors
//   --timeout=S       at most, for a program that is probed, seconds; 600. It has 100 times what it takes bare,
//                     and at least a minute
//   --verbose         a line for each program
import { statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { programsIn, runSuite, type Verdict } from "./suite.js";

const BARE_LIMIT_S = 60;
const PROBED_FACTOR = 100;
const PROBED_LEAST_S = 60;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    jobs: { type: "string", default: String(availableParallelism()) },
    timeout: { type: "string", default: "600" },
    verbose: { type: "boolean", default: false },
  },
});
const [folder] = positionals;
const jobs = Number(values.jobs);
const timeout = Number(values.timeout);
if (folder === undefined || !Number.isInteger(jobs) || jobs < 1 || !(timeout > 0)) {
  process.stderr.write("usage: npm run transparency -- DIR [--jobs=N] [--timeout=SECONDS] [--verbose]\n");
  process.exit(2);
}
if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
  process.stderr.write(`${folder}: no such folder\n`);
  process.exit(2);
}
const programs = programsIn(folder);
if (programs.length === 0) {
  process.stderr.write(`${folder}: no executable files\n`);
  process.exit(2);
}

const verdicts = await runSuite(
  programs,
  {
    jobs,
    bareLimit: BARE_LIMIT_S,
    probedLimit: { factor: PROBED_FACTOR, least: PROBED_LEAST_S, most: timeout },
  },
  (verdict) => {
    if (verdict.kind === "misfit") process.stdout.write(`MISFIT ${verdict.program}: ${verdict.why}\n`);
    else if (values.verbose) process.stdout.write(`${describe(verdict)}\n`);
  },
);
const of = (kind: Verdict["kind"]): Verdict[] => verdicts.filter((verdict) => verdict.kind === kind);
const fits = verdicts.flatMap((verdict) => (verdict.kind === "fits" ? [verdict] : []));
const hits = fits.reduce((sum, verdict) => sum + verdict.hits, 0);
process.stdout.write(
  `${String(verdicts.length)} programs: ${String(fits.length)} as bare, ${String(of("misfit").length)} misfits, ` +
    `${String(of("left-out").length)} left out, which fail bare; ${String(hits)} hits\n`,
);
process.exitCode = of("misfit").length > 0 ? 1 : 0;

function describe(verdict: Verdict): string {
  switch (verdict.kind) {
    case "fits":
      return `ok     ${verdict.program}: ${String(verdict.armed)} armed, ${String(verdict.hits)} hits`;
    case "left-out":
      return `out    ${verdict.program}: ${verdict.why}`;
    case "misfit":
      return `MISFIT ${verdict.program}: ${verdict.why}`;
  }
}
