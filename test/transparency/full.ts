// `npm run transparency:full [-- NAME...]`: real programs, bare and with every function of them and of all their
// libraries counted. Prints a line for each; status 1 where one did not do what it does bare.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeMaterial } from "./material.js";
import { PROGRAMS } from "./programs.js";
import { missing, type Outcome, runReal } from "./real.js";

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !PROGRAMS.some((program) => program.name === name));
if (unknown.length > 0) {
  const names = PROGRAMS.map(({ name }) => `"${name}"`).join(", ");
  process.stderr.write(`no program ${unknown.join(", ")}; there are ${names}\n`);
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), "trapline-real-"));
let misfits = 0;
let leftOut = 0;
let fits = 0;
try {
  const material = makeMaterial(folder, 100_000);
  for (const [index, program] of PROGRAMS.entries()) {
    if (wanted.length > 0 && !wanted.includes(program.name)) continue;
    const packages = missing(program);
    if (packages.length > 0) {
      leftOut++;
      process.stdout.write(`out     ${program.name}: needs ${packages.join(", ")}\n`);
      continue;
    }
    let line: string;
    try {
      const outcome = runReal(program, material, join(folder, `program-${String(index)}`));
      if (outcome.misfit === undefined) fits++;
      else misfits++;
      line = describe(outcome, program.maxHits, program.name);
    } catch (error) {
      misfits++;
      line = `MISFIT  ${program.name}: ${String(error)}`;
    }
    process.stdout.write(`${line}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(`${String(fits)} as bare, ${String(misfits)} misfits, ${String(leftOut)} left out\n`);
process.exitCode = misfits > 0 ? 1 : 0;

function describe(outcome: Outcome, maxHits: number, name: string): string {
  const { armed, hits, exhausted } = outcome;
  const refused = Object.values(outcome.refused).reduce((sum, count) => sum + count, 0);
  const number = (value: number): string => value.toLocaleString("en");
  const share = ((100 * armed) / (armed + refused)).toFixed(2);
  const reasons = Object.entries(outcome.refused).map(([reason, count]) => `${number(count)} ${reason}`);
  const parts = [
    `${number(armed)} of ${number(armed + refused)} functions (${share} %)`,
    `${number(hits)} hits`,
    ...(exhausted > 0 ? [`${number(exhausted)} disarmed after ${number(maxHits)} hits each`] : []),
    `${outcome.seconds.toFixed(1)} s, bare ${outcome.bareSeconds.toFixed(1)} s`,
    ...(reasons.length > 0 ? [`refused: ${reasons.join(", ")}`] : []),
  ];
  return outcome.misfit === undefined
    ? `ok      ${name}: ${parts.join("; ")}`
    : `MISFIT  ${name}: ${outcome.misfit}; ${parts.join("; ")}`;
}
