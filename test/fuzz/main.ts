// `npm run fuzz`: every reader with inputs that were changed at random, a line each at the end.
//
//   npm run fuzz -- --minutes=20 --seed=4711
//   npm run fuzz -- --reader=elf-file              that reader alone
//   npm run fuzz -- --reader=elf-file --seed=4711 --inputs=1     that input alone
import { parseArgs } from "node:util";
import { Campaign, describeReader } from "./campaign.js";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string" },
    reader: { type: "string" },
    inputs: { type: "string", default: "Infinity" },
  },
});
const minutes = Number(values.minutes);
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
const inputs = Number(values.inputs);
for (const [name, value] of [
  ["minutes", minutes],
  ["inputs", inputs],
] as const) {
  if (value > 0) continue;
  process.stderr.write(`--${name}=${values[name]}: a number more than 0 is needed\n`);
  process.exit(2);
}
if (!Number.isSafeInteger(seed) || seed < 0) {
  process.stderr.write(`--seed=${String(values.seed)}: a whole number is needed\n`);
  process.exit(2);
}

await using campaign = new Campaign((line) => {
  process.stdout.write(`${line}\n`);
});
const chosen = await campaign.readers(values.reader);
if (chosen.length === 0) {
  const names = (await campaign.readers(undefined)).map(({ name }) => name);
  process.stderr.write(`--reader=${String(values.reader)}: one of ${names.join(", ")}\n`);
  process.exit(2);
}
process.stdout.write(`seed ${String(seed)}, ${String(minutes)} minutes, ${String(chosen.length)} readers\n`);
const results = await campaign.run({ readers: chosen, seed, inputs, milliseconds: minutes * 60_000 });
for (const result of results) process.stdout.write(`${describeReader(result)}\n`);
const failures = results.reduce((sum, result) => sum + result.failures.length, 0);
const read = results.reduce((sum, result) => sum + result.tally.inputs, 0);
process.stdout.write(`${String(read)} inputs from seed ${String(seed)}, ${String(failures)} failed\n`);
process.exitCode = failures > 0 ? 1 : 0;
