import { attach } from "../../src/index.js";
import { isFree, PATIENT, textOf } from "../api/aside.js";
import { describeHoldings, type Holdings, holdingsOf } from "../support/holdings.js";
import type { Running, Subject } from "./subjects.js";

export interface Outcome {
  readonly cycles: number;
  readonly hits: number;
  readonly seconds: number;
  readonly before: Holdings;
  readonly after: Holdings;
  readonly ownBefore: Holdings;
  readonly ownAfter: Holdings;
  /** What the program did meanwhile. */
  readonly done: string;
  /** Empty: nothing went wrong. */
  readonly wrong: string;
}

/** Cycles before the first measurement: Node and the C library take what they keep. */
const WARM_UP = 10;
/** Hits before a probe's target is let go, in the middle of more. */
const HITS = 5;
/** So much of text is compared now and then: a digest of libc takes a moment. */
const COMPARE_EVERY = 50;

/** Attaches to a program, arms a probe, waits for hits, and lets it go: so many times. */
export async function runCycles(subject: Subject, cycles: number): Promise<Outcome> {
  const running = await subject.start();
  const text = textOf(running.pid);
  let hits = 0;
  let wrong = "";
  const began = performance.now();
  for (let cycle = 0; cycle < WARM_UP; cycle++) hits += await once(running, subject);
  const [before, ownBefore] = [holdingsOf(running.pid), holdingsOf(process.pid)];
  try {
    for (let cycle = 0; cycle < cycles; cycle++) {
      hits += await once(running, subject);
      if (!isFree(running.pid)) throw new Error(`a thread is traced or stopped after cycle ${String(cycle)}`);
      if (cycle % COMPARE_EVERY === 0 && textOf(running.pid) !== text)
        throw new Error(`the text is another after cycle ${String(cycle)}`);
    }
    if (textOf(running.pid) !== text) throw new Error("the text is another in the end");
  } catch (error) {
    wrong = error instanceof Error ? error.message : String(error);
  }
  const seconds = (performance.now() - began) / 1000;
  const [after, ownAfter] = [holdingsOf(running.pid), holdingsOf(process.pid)];
  const done = running.done();
  const said = await running.end();
  return {
    ...{ cycles, hits, seconds, before, after, ownBefore, ownAfter, done },
    wrong: [wrong, said].filter((each) => each !== "").join("; "),
  };
}

async function once(running: Running, subject: Subject): Promise<number> {
  await using traced = await attach({ pid: running.pid, ...PATIENT });
  let enough = (): void => {};
  const came = new Promise<void>((resolve) => (enough = resolve));
  let count = 0;
  const probe = await traced.registerKprobe({
    symbolName: subject.functionName,
    preHandler: () => {
      if (++count === HITS) enough();
    },
  });
  await came;
  await traced[Symbol.asyncDispose]();
  return probe.hits;
}

/** `1,000 cycles, 5,210 hits, 110.2 s; target: 60 → 60 maps, …; tracer: …`. */
export function describe(outcome: Outcome): string {
  return [
    `${outcome.cycles.toLocaleString("en")} cycles, ${outcome.hits.toLocaleString("en")} hits, ${outcome.seconds.toFixed(1)} s`,
    outcome.done,
    `target: ${describeHoldings(outcome.before, outcome.after)}`,
    `tracer: ${describeHoldings(outcome.ownBefore, outcome.ownAfter)}`,
    ...(outcome.wrong === "" ? [] : [`WRONG: ${outcome.wrong}`]),
  ].join("; ");
}
