// `npm run fuzz`: every reader with inputs that were changed at random, a line each at the end.
//
//   npm run fuzz -- --minutes=20 --seed=4711
//   npm run fuzz -- --reader=elf-file              that reader alone
//   npm run fuzz -- --reader=elf-file --seed=4711 --inputs=1     that input alone
//   npm run fuzz -- --reader=elf-file --file=build/fuzz/elf-file-4711      what that one left behind
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Campaign, describeReader } from "./campaign.js";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string" },
    reader: { type: "string" },
    inputs: { type: "string", default: "Infinity" },
    file: { type: "string" },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function refuse(sentence: string): number {
  process.stderr.write(`${sentence}\n`);
  return 2;
}

/** @returns exit status: 0 where nothing failed */
async function fuzz(): Promise<number> {
  const minutes = Number(values.minutes);
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
  const inputs = Number(values.inputs);
  if (!(minutes > 0)) return refuse(`--minutes=${values.minutes}: a number more than 0 is needed`);
  if (!(inputs > 0)) return refuse(`--inputs=${values.inputs}: a number more than 0 is needed`);
  if (!Number.isSafeInteger(seed) || seed < 0)
    return refuse(`--seed=${String(values.seed)}: a whole number is needed`);

  await using campaign = new Campaign(say);
  const readers = await campaign.readers(values.reader);
  const [first] = readers;
  if (first === undefined) {
    const names = (await campaign.readers(undefined)).map(({ name }) => name);
    return refuse(`--reader=${String(values.reader)}: one of ${names.join(", ")}`);
  }
  if (values.file !== undefined) {
    if (values.reader === undefined) return refuse("--file: which --reader is to read it?");
    const what = await campaign.readFile(first, readFileSync(values.file), seed);
    say(what ?? "an answer, or a sentence");
    return what === undefined ? 0 : 1;
  }
  say(`seed ${String(seed)}, ${String(minutes)} minutes, ${String(readers.length)} readers`);
  const results = await campaign.run({ readers, seed, inputs, milliseconds: minutes * 60_000 });
  for (const result of results) say(describeReader(result));
  const failures = results.reduce((sum, result) => sum + result.failures.length, 0);
  const read = results.reduce((sum, result) => sum + result.tally.inputs, 0);
  say(`${String(read)} inputs from seed ${String(seed)}, ${String(failures)} failed`);
  return failures > 0 ? 1 : 0;
}

process.exitCode = await fuzz();
