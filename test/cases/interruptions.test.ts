// Signals that come from outside, at any moment: also when the program counter is in a slot.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kprobe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");
const TICKS = 150;
/** On a busy machine a tick has come again before a hit is over: there are to be hits all the same. */
const ROUNDS = 10;
const PLACES = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => `place_${String(number)}`);
const quiet = (): undefined => undefined;

/** Which handlers the eight places have. The instruction after them stands between each: two ways out of line. */
const ARRANGEMENTS: Readonly<Record<string, (place: number) => Partial<Kprobe>>> = {
  "pre-handlers": () => ({ preHandler: quiet }),
  "post-handlers": () => ({ postHandler: quiet }),
  "handlers of every phase": () => ({ preHandler: quiet, postHandler: quiet, postFaultHandler: quiet }),
  "pre- and post-handlers in turns": (place) =>
    place % 2 === 0 ? { preHandler: quiet } : { postHandler: quiet },
};

for (const [name, handlers] of Object.entries(ARRANGEMENTS)) {
  test(
    `signals of a 1 ms timer see the program at places of its own, and no hit is counted twice: ${name}`,
    GCC,
    async () => {
      const { output, status, probes } = await traced(
        [target("ticks"), String(TICKS), String(ROUNDS)],
        [
          ...PLACES.map((symbolName, place) => ({ symbolName, ...handlers(place) })),
          // The program's own handler is probed, too: its hits are in between.
          { symbolName: "tick", preHandler: quiet },
        ],
      );
      assert.deepEqual(status, SUCCESS);
      const calls = Number(
        /^calls (\d+) wrong 0 elsewhere 0 stepped 0\n$/.exec(output)?.[1] ?? assert.fail(output),
      );
      assert.ok(calls >= ROUNDS, `${String(calls)} rounds`);
      for (const { name: place, hits, completed, faulted, nmissed, retries } of probes.slice(0, -1)) {
        assert.deepEqual(
          { hits, completed, faulted, nmissed, retries },
          { hits: calls, completed: calls, faulted: 0, nmissed: 0, retries: 0 },
          place,
        );
      }
    },
  );
}
