import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { applyEdits, minimise } from "./edits.js";
import { emptyTally, type Failure, type Tally } from "./protocol.js";
import { Random } from "./random.js";
import { inputOf, type Reader } from "./reader.js";
import { makeReaders, type ReaderSet } from "./readers.js";
import { type Bounds, BOUNDS, Watchman } from "./watchman.js";

const FAILURES = fileURLToPath(new URL("../../fuzz/", import.meta.url));
/** A share of time, after which it is another reader's turn. */
const SLICE_MS = 1000;
/** A reader that fails so often has shown what it can. */
const MOST_FAILURES = 10;

export interface Plan {
  readonly readers: readonly Reader[];
  readonly seed: number;
  /** For each reader. */
  readonly inputs: number;
  /** For all of them. */
  readonly milliseconds: number;
}

export interface ReaderResult {
  readonly name: string;
  readonly tally: Tally;
  readonly failures: readonly Failure[];
  readonly seconds: number;
}

/** Runs readers in turns; a failure is made small, told and kept in a file. */
export class Campaign implements AsyncDisposable {
  private readonly folder = mkdtempSync(join(tmpdir(), "trapline-fuzz-"));
  private readonly hasCompiler = ["gcc", "objcopy"].every(
    (tool) => spawnSync(tool, ["--version"], { stdio: "ignore" }).status === 0,
  );
  private readonly watchman: Watchman;
  private made: readonly Reader[] | undefined;

  constructor(
    private readonly tell: (line: string) => void,
    private readonly set: ReaderSet = "real",
    bounds: Bounds = BOUNDS,
  ) {
    this.watchman = new Watchman(set, this.folder, this.hasCompiler, bounds);
  }

  /** @param name undefined for all */
  async readers(name: string | undefined): Promise<readonly Reader[]> {
    // The worker's first: it makes the programs that both start from.
    if (this.made === undefined) await this.watchman.start();
    this.made ??= makeReaders(this.set, this.folder, this.hasCompiler);
    return this.made.filter((one) => one.originals.length > 0 && (name === undefined || one.name === name));
  }

  /** Reads one input that was kept. @returns what is wrong, undefined where nothing is */
  async readFile(reader: Reader, bytes: Buffer, seed: number): Promise<string | undefined> {
    const edits = [{ at: 0, remove: reader.originals[0]?.bytes.length ?? 0, insert: bytes }];
    const order = { kind: "attempt", reader: reader.name, seed, input: { original: 0, edits } } as const;
    return (await this.watchman.ask(order, bytes.length / 2 ** 20)).failure?.what;
  }

  async run(plan: Plan): Promise<ReaderResult[]> {
    const states = plan.readers.map((reader) => ({
      reader,
      megabytes: Math.max(...reader.originals.map(({ bytes }) => bytes.length)) / 2 ** 20,
      tally: emptyTally(),
      failures: [] as Failure[],
      seed: plan.seed,
      spent: 0,
    }));
    const share = plan.milliseconds / states.length;
    for (let busy = true; busy;) {
      busy = false;
      for (const state of states) {
        const left = plan.seed + plan.inputs - state.seed;
        if (state.spent >= share || left <= 0 || state.failures.length >= MOST_FAILURES) continue;
        busy = true;
        const milliseconds = Math.min(SLICE_MS, share - state.spent);
        const { reader, seed, megabytes } = state;
        const start = performance.now();
        const order = { kind: "run", reader: reader.name, seed, count: left, milliseconds } as const;
        const answer = await this.watchman.ask(order, megabytes);
        state.spent += performance.now() - start;
        state.seed = answer.next;
        add(state.tally, answer.tally);
        if (answer.failure === undefined) continue;
        state.failures.push(answer.failure);
        await this.show(reader, answer.failure, megabytes);
      }
    }
    return states.map(({ reader, tally, failures, spent }) => ({
      name: reader.name,
      tally,
      failures,
      seconds: spent / 1000,
    }));
  }

  private async show(reader: Reader, { seed, what }: Failure, megabytes: number): Promise<void> {
    const input = inputOf(reader, new Random(seed));
    const kind = headOf(what);
    const edits = await minimise(input.edits, async (candidate) => {
      const attempt = { ...input, edits: candidate };
      const answer = await this.watchman.ask(
        { kind: "attempt", reader: reader.name, seed, input: attempt },
        megabytes,
      );
      return answer.failure !== undefined && headOf(answer.failure.what) === kind;
    });
    const original = reader.originals[input.original];
    mkdirSync(FAILURES, { recursive: true });
    const file = join(FAILURES, `${reader.name}-${String(seed)}`);
    writeFileSync(file, applyEdits(original?.bytes ?? Buffer.alloc(0), edits));
    const changes = edits.map(
      (edit) =>
        `${String(edit.remove)} bytes at ${String(edit.at)} by ${Buffer.from(edit.insert).subarray(0, 32).toString("hex")}`,
    );
    this.tell(`${reader.name}, seed ${String(seed)}: FAILED: ${what}`);
    this.tell(
      `  ${original?.name ?? ""}${changes.length === 0 ? "" : `: ${changes.slice(0, 8).join(", ")}`}`,
    );
    this.tell(`  made small in ${file}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.watchman[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The same defect has the same beginning. */
function headOf(what: string): string {
  return what.split("\n", 1)[0]?.replaceAll(/[0-9]+/g, "") ?? "";
}

function add(sum: Tally, more: Tally): void {
  sum.inputs += more.inputs;
  sum.outcomes.answered += more.outcomes.answered;
  sum.outcomes.warned += more.outcomes.warned;
  for (const [kind, count] of Object.entries(more.refusals))
    sum.refusals[kind] = (sum.refusals[kind] ?? 0) + count;
}

/** One line: how many inputs, what came of them, the sentences that were said most, how long it took. */
export function describeReader({ name, tally, failures, seconds }: ReaderResult): string {
  const kinds = Object.entries(tally.refusals).sort(([, one], [, other]) => other - one);
  const refused = kinds.reduce((sum, [, count]) => sum + count, 0);
  const most = kinds.slice(0, 6).map(([kind, count]) => `${String(count)} ${kind}`);
  const rest = kinds.length > 6 ? [`${String(kinds.length - 6)} other kinds`] : [];
  return (
    `${name}: ${String(tally.inputs)} inputs, ${String(tally.outcomes.answered)} answered, ` +
    `${String(tally.outcomes.warned)} answered in part, ${String(refused)} refused` +
    `${most.length === 0 ? "" : ` (${[...most, ...rest].join("; ")})`}, ` +
    `${String(failures.length)} failed, ${seconds.toFixed(1)} s`
  );
}
