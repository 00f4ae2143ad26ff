import type { Input, Outcome } from "./reader.js";
import type { ReaderSet } from "./readers.js";

/** What a worker is asked to do. */
export type Order =
  /** Inputs of these seeds, until the time is over or one fails. */
  | {
      readonly kind: "run";
      readonly reader: string;
      readonly seed: number;
      readonly count: number;
      readonly milliseconds: number;
    }
  /** One input, as when it is made smaller. */
  | { readonly kind: "attempt"; readonly reader: string; readonly seed: number; readonly input: Input };

/** Counts of what came of inputs. */
export interface Tally {
  inputs: number;
  readonly outcomes: Record<Outcome, number>;
  /** Sentences of refusals with names and numbers taken out, and how often. */
  readonly refusals: Record<string, number>;
}

/** What was wrong, and the seed that shows it. */
export interface Failure {
  readonly seed: number;
  readonly what: string;
}

export interface Answer {
  readonly tally: Tally;
  /** The seed to go on with. */
  readonly next: number;
  readonly failure: Failure | undefined;
}

/** Words that the worker and its watchman share. */
export const WATCH = { started: 0, seed: 1, words: 2 } as const;

export interface WorkerSettings {
  readonly set: ReaderSet;
  readonly folder: string;
  readonly hasCompiler: boolean;
  readonly watch: SharedArrayBuffer;
}

export function emptyTally(): Tally {
  return { inputs: 0, outcomes: { answered: 0, warned: 0 }, refusals: {} };
}
