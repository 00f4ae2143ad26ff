import { runSession } from "../targets/gdb/protocol/session.js";
import type { Edit } from "./edits.js";
import { overwrite } from "./edits.js";
import type { Reader } from "./reader.js";

/** So many packets, and what is done to them, are told by one input. */
const TAPE = 2000;
/** From here on a byte of the tape is a fault of the line. */
const FIRST_FAULT = 128;

/** The client of stubs, over a line and with a stub that misbehave as the input says; all zeros: not at all. */
export function stubReaders(): Reader[] {
  return [
    {
      name: "gdb-stub",
      originals: [{ name: "a line without faults", bytes: Buffer.alloc(TAPE) }],
      mutate(_original, random) {
        const edits: Edit[] = [];
        const apart = random.pick([3, 10, 40, 200, 1000]);
        for (let at = random.below(apart); at < TAPE; at += 1 + random.below(2 * apart))
          edits.push(overwrite(at, Uint8Array.of(FIRST_FAULT + random.below(128), random.below(256))));
        return edits;
      },
      read(bytes, name, random) {
        const { errors } = runSession(bytes, random, name);
        return errors.length > 0 ? "warned" : "answered";
      },
    },
  ];
}
