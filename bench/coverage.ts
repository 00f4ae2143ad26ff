// `npm run coverage [FILE…]`: at how many function entries, returns and tail jumps a jump can stand, and why
// not at the others. What is counted is what is in the code, reached or not.
import { existsSync, realpathSync } from "node:fs";
import { ImageCode } from "../src/arch/x86_64/placing/image-code.js";
import { ElfImage } from "../src/symbols/elf/image.js";
import { rangeAt, type Vaddr } from "../src/symbols/vaddr.js";

const USUAL = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
  "/usr/bin/python3",
  process.execPath,
  "/usr/bin/git",
  "/bin/bash",
];

/** What became of one kind of place: the number for each outcome. */
class Tally {
  private readonly outcomes = new Map<string, number>();
  private total = 0;

  add(outcome: string): void {
    this.total++;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
  }

  /** `99.4 % of 3711 (short 14; unknown-jumps 9)` */
  toString(): string {
    const near = this.outcomes.get("near") ?? 0;
    const short = this.outcomes.get("short") ?? 0;
    const rest = [...this.outcomes].filter(([outcome]) => outcome !== "near");
    rest.sort(([, one], [, other]) => other - one);
    const words = rest.map(([outcome, count]) => `${outcome} ${String(count)}`).join("; ");
    const share = this.total === 0 ? "–" : `${((100 * (near + short)) / this.total).toFixed(1)} %`;
    return `${share} of ${String(this.total)}${words === "" ? "" : ` (${words})`}`;
  }
}

function tally(code: ImageCode, places: Iterable<number>): Tally {
  const result = new Tally();
  for (const at of places) {
    const plan = code.plan(at as Vaddr);
    result.add(plan.kind === "refused" ? plan.reason : plan.island === undefined ? "near" : "short");
  }
  return result;
}

const given = process.argv.slice(2);
const missing = given.filter((path) => !existsSync(path));
for (const path of missing) process.stderr.write(`${path}: there is no such file\n`);
const files = (given.length > 0 ? given : USUAL).filter((path) => existsSync(path));

for (const path of files.map((file) => realpathSync(file))) {
  using image = ElfImage.open(path);
  const begin = performance.now();
  const code = ImageCode.of(image);
  const looked = performance.now();
  const isStub = (at: number): boolean => rangeAt(image.pltRanges, at as Vaddr) !== undefined;
  const entries = new Set<number>(code.functions.map(({ start }) => start));
  for (const { kind, vaddr } of image.functions("*"))
    if (kind === "function" || kind === "ifunc") entries.add(vaddr);
  const sorted = [...entries].filter((at) => !isStub(at)).sort((one, other) => one - other);
  const exits = code.entries.exits.filter((at) => !isStub(at));
  process.stdout.write(`${path}\n  entries  ${String(tally(code, sorted))}\n`);
  process.stdout.write(`  returns  ${String(tally(code, exits))}\n`);
  const planned = performance.now();
  process.stdout.write(
    `  looked through in ${(looked - begin).toFixed(0)} ms, planned in ${(planned - looked).toFixed(0)} ms\n`,
  );
}
process.exitCode = missing.length > 0 ? 1 : 0;
