// `npm run transparency:full [-- NAME...]`: programs that nobody here wrote are run bare and then with every
// function of theirs and of their libraries counted. A line for each; status 1 where one of them noticed.
import { PROGRAMS } from "./programs.js";
import { compare, describe, type Outcome } from "./real.js";
import { RUNTIMES } from "./runtimes.js";

const all = [...PROGRAMS, ...RUNTIMES];
const names = process.argv.slice(2);
const unknown = names.filter((name) => !all.some((program) => program.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `${unknown.join(", ")}: not in the table, which has ${all.map(({ name }) => name).join(", ")}\n`,
  );
  process.exit(2);
}
const outcomes: Outcome[] = [];
for (const program of all) {
  if (names.length > 0 && !names.includes(program.name)) continue;
  const outcome = await compare(program);
  outcomes.push(outcome);
  process.stdout.write(`${describe(outcome)}\n`);
}
const count = (kind: Outcome["kind"]): string =>
  String(outcomes.filter((outcome) => outcome.kind === kind).length);
process.stdout.write(`${count("ok")} ok, ${count("misfit")} misfits, ${count("left out")} left out\n`);
process.exitCode = outcomes.some(({ kind }) => kind === "misfit") ? 1 : 0;
