// `npm run attachments [-- --cycles=N]`: attaches to running programs and lets them go, 1,000 times each. A line each.
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { describe, runCycles } from "./cycles.js";
import { SUBJECTS } from "./subjects.js";

const { values } = parseArgs({ options: { cycles: { type: "string", default: "1000" } } });
const cycles = Number(values.cycles);
if (!Number.isInteger(cycles) || cycles < 1) {
  process.stderr.write(`--cycles=${values.cycles}: a number of cycles is needed, 1 or more\n`);
  process.exit(2);
}

for (const subject of SUBJECTS) {
  const missing = subject.needs.filter((need) => spawnSync("sh", ["-c", `command -v ${need}`]).status !== 0);
  if (missing.length > 0) {
    process.stdout.write(`${subject.name}: left out, not installed: ${missing.join(", ")}\n`);
    process.exitCode = 1;
    continue;
  }
  const outcome = await runCycles(subject, cycles);
  process.stdout.write(`${subject.name}: ${describe(outcome)}\n`);
  const grown =
    outcome.after.maps > outcome.before.maps || outcome.after.descriptors > outcome.before.descriptors;
  if (outcome.wrong !== "" || grown) process.exitCode = 1;
}
