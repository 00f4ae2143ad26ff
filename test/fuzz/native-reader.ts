import { fuzzBatch } from "../handlers/native/fuzz.js";
import type { Random } from "./random.js";
import type { Reader } from "./reader.js";

/** Programs of one input: starting what runs them takes as long as they do. */
const PROGRAMS = 10;

/** Random handlers as machine code and in JavaScript: an input is the number of the first of them. */
export function nativeReaders(hasCompiler: boolean): Reader[] {
  if (!hasCompiler) return [];
  return [
    {
      name: "native",
      originals: [{ name: "the first program", bytes: Buffer.alloc(4) }],
      mutate: (_original, random: Random) => [
        { at: 0, remove: 4, insert: Uint8Array.from({ length: 4 }, () => random.below(256)) },
      ],
      read(bytes) {
        const seed = bytes.length < 4 ? bytes.length : bytes.readUInt32LE(0);
        const { native, wrong } = fuzzBatch(seed, PROGRAMS);
        const [first] = wrong;
        if (first !== undefined) throw new Error(first);
        return native > 0 ? "answered" : "warned";
      },
    },
  ];
}
