import type { Edit } from "./edits.js";
import type { Random } from "./random.js";

/** A real input, that mutations start from. */
export interface Original {
  readonly name: string;
  readonly bytes: Buffer;
}

/** One input of a reader: a real one, and what was done to it. */
export interface Input {
  readonly original: number;
  readonly edits: readonly Edit[];
}

/** What a reader made of an input. */
export type Outcome = "answered" | "warned";

/** Something of `src/` that takes what others wrote. */
export interface Reader {
  readonly name: string;
  readonly originals: readonly Original[];
  mutate(original: Original, random: Random): readonly Edit[];
  /**
   * Reads an input wholly.
   *
   * @param name how sentences must call it
   * @throws TraplineError the input is refused
   * @throws Error anything else: a defect
   */
  read(bytes: Buffer, name: string, random: Random): Outcome;
  /** What every sentence of a refusal must say: the name of the input, unless told. */
  readonly sentence?: RegExp;
}

/** The input that a seed stands for. */
export function inputOf(reader: Reader, random: Random): Input {
  const original = random.below(reader.originals.length);
  const from = reader.originals[original];
  if (from === undefined) throw new Error(`${reader.name} has nothing to start from`);
  return { original, edits: reader.mutate(from, random) };
}
