// Signals that are the program's own affair, around faults of handlers and over probed code.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kprobe } from "../../src/index.js";
import { PATIENT } from "../api/aside.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

const WAYS = {
  neither: "handles SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP",
  blocked: "blocks them",
  ignored: "ignores them",
} as const;

for (const [way, what] of Object.entries(WAYS))
  test(
    `a program that ${what} has its own faults, and its mask and actions, around fenced faults of ours`,
    GCC,
    async () => {
      const program = target("own-faults");
      assert.equal(run(program, way).stdout, "wrong 0\n");
      const fenced = (symbolName: string): Kprobe => ({
        symbolName,
        preHandler(_probe, _registers, kit) {
          for (const bad of [8n, 2n ** 63n]) kit.ksetjmp(() => void kit.memory.uint64(bad));
        },
      });
      const { output, status, probes } = await traced(
        [program, way],
        [
          fenced("between"),
          fenced("in_handler"),
          // Not fenced: it cancels the handler, and nothing else.
          {
            symbolName: "in_handler",
            maxcancelled: 0,
            preHandler: (_p, _r, kit) => void kit.memory.uint64(8n),
          },
          { symbolName: "raise_one", postHandler: () => undefined },
        ],
      );
      assert.equal(output, "wrong 0\n");
      assert.deepEqual(status, SUCCESS);
      const [between, inHandler, cancelled] = probes;
      assert.deepEqual([between?.hits, between?.fencedFaults], [20, 40]);
      assert.deepEqual([inHandler?.hits, inHandler?.fencedFaults, inHandler?.handlerFaults], [100, 200, 0]);
      assert.deepEqual([cancelled?.hits, cancelled?.handlerFaults], [100, 100]);
    },
  );

const TICKS = 10_000;

test(
  "a storm of 10,000 timer signals over probed code: none is lost, none shows us, no hit is counted twice",
  GCC,
  async (t) => {
    const { output, status, probes } = await traced(
      [target("ticks"), String(TICKS)],
      [2, 3, 5, 8].map((place) => ({
        symbolName: `place_${String(place)}`,
        ...(place % 2 === 0 ? { preHandler: () => undefined } : { postHandler: () => undefined }),
      })),
      PATIENT,
    );
    assert.deepEqual(status, SUCCESS);
    const calls = Number(
      /^calls (\d+) wrong 0 elsewhere 0 stepped 0\n$/.exec(output)?.[1] ?? assert.fail(output),
    );
    t.diagnostic(`${String(calls)} rounds`);
    const books = probes.map(({ hits, completed, nmissed, disarmedBecause }) => [
      hits,
      completed,
      nmissed,
      disarmedBecause,
    ]);
    assert.deepEqual(
      books,
      probes.map(() => [calls, calls, 0, undefined]),
    );
  },
);
