import { emit } from "../../../src/handlers/js/emit.js";
import { compileNative } from "../../../src/handlers/native/compile.js";
import { layGlobals } from "../../../src/handlers/native/global-layout.js";
import { Random } from "../../fuzz/random.js";
import { type Both, caseOf, difference, limitsOf } from "./both.js";
import { runPieces } from "./pieces.js";
import { randomHits, randomProgram } from "./random-handlers.js";

/** What came of a batch of random programs. */
export interface Batch {
  readonly native: number;
  readonly refused: ReadonlyMap<string, number>;
  /** With the seed and the program. */
  readonly wrong: readonly string[];
}

/** Compares the back ends on random programs, of so many seeds from one on. */
export function fuzzBatch(seed: number, count: number): Batch {
  const refused = new Map<string, number>();
  const all: { readonly seed: number; readonly both: Both }[] = [];
  for (let index = 0; index < count; index++) {
    const both = bothOfSeed(seed + index);
    if (typeof both === "string") refused.set(both, (refused.get(both) ?? 0) + 1);
    else all.push({ seed: seed + index, both });
  }
  const left = runPieces(all.map(({ both }) => caseOf(both)));
  const wrong = all.flatMap(({ seed: number, both }, index) => {
    const what = difference(both, left[index] ?? []);
    return what === undefined ? [] : [`seed ${String(number)}: ${what}\n${emit(both.program).source}`];
  });
  return { native: all.length, refused, wrong };
}

/** @returns why it is not machine code, for some */
function bothOfSeed(seed: number): Both | string {
  const random = new Random(seed);
  const program = randomProgram(random);
  const hits = randomHits(random);
  const limits = limitsOf({ MAXFAULT: random.below(4), MAXACTION: random.once(3) ? 20 : 200 });
  const layout = layGlobals(program, limits);
  const handler = compileNative(program, 0, layout);
  if (handler.kind === "not-native") return handler.why;
  return { program, number: 0, limits, layout, handler, hits };
}
