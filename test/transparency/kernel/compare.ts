import { Random } from "../../fuzz/random.js";
import { bootedGuest, complaints, enteredFunctions, runWorkload, type WorkloadName } from "./guest.js";
import { type Probed, whileProbed } from "./probing.js";

export interface ComparisonOptions {
  readonly workload: WorkloadName;
  /** How many functions are probed, one run for each. */
  readonly counts: readonly number[];
  readonly seed: number;
  /** Each function is let go after so many hits. */
  readonly maxHits: number;
  /** Processors of the guest. */
  readonly smp: number;
  readonly tell: (line: string) => void;
}

export interface Comparison {
  /** Functions that the workload enters. */
  readonly entered: number;
  readonly runs: readonly (Probed<{ readonly output: string; readonly seconds: number }> & {
    readonly wanted: number;
  })[];
  readonly bare: string;
  /** Seconds of the bare runs, before and after. */
  readonly before: number;
  readonly after: number;
  readonly complaints: readonly string[];
}

/**
 * A workload on one machine: bare, then with as many of the functions that it enters probed as asked, then
 * bare again. Which functions is drawn by the seed.
 */
export async function compareKernel(options: ComparisonOptions): Promise<Comparison> {
  const { tell } = options;
  const entered = await countedFunctions(options.workload);
  tell(
    `${String(entered.length)} functions are entered; ${String(options.smp)} processors, seed ${String(options.seed)}`,
  );
  await using machine = await bootedGuest(options.workload, options.smp);
  // The first run fills caches that the others find full.
  await runWorkload(machine);
  const bare = await runWorkload(machine);
  tell(`bare: ${bare.seconds.toFixed(1)} s`);
  const runs: Comparison["runs"][number][] = [];
  for (const wanted of options.counts) {
    const functions = drawn(entered, wanted, options.seed);
    const probed = await whileProbed(machine, functions, options.maxHits, () => runWorkload(machine));
    runs.push({ ...probed, wanted });
    const { armed, refused, hits, exhausted, armingSeconds, result } = probed;
    tell(
      `${String(wanted)} functions: ${String(armed)} armed in ${armingSeconds.toFixed(1)} s, ${String(refused)} refused, ` +
        `${String(hits)} hits, ${String(exhausted)} let go after ${String(options.maxHits)}; ` +
        `${result.seconds.toFixed(1)} s, ${(result.seconds / bare.seconds).toFixed(1)} times bare`,
    );
  }
  const again = await runWorkload(machine);
  tell(`bare again: ${again.seconds.toFixed(1)} s`);
  const bad = await complaints(machine);
  for (const line of bad) tell(line);
  return {
    entered: entered.length,
    runs,
    bare: bare.output,
    before: bare.seconds,
    after: again.seconds,
    complaints: again.output === bare.output ? bad : [...bad, "bare, the workload prints something else"],
  };
}

/**
 * On a machine of its own: counting them all leaves its kernel's text as it was, and its speed not at once. Of one
 * processor: on two the kernel's own tracer, while it patches the one's text that the other executes, can be so slow
 * on a busy host that the next timer interrupt is always due, and nothing else is ever done.
 */
async function countedFunctions(workload: WorkloadName): Promise<readonly string[]> {
  await using machine = await bootedGuest(workload, 1);
  return await enteredFunctions(machine);
}

function drawn(functions: readonly string[], count: number, seed: number): readonly string[] {
  const random = new Random(seed);
  const left = [...functions];
  const chosen: string[] = [];
  while (chosen.length < count && left.length > 0) chosen.push(...left.splice(random.below(left.length), 1));
  return chosen;
}
