import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kprobe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

interface Expected {
  readonly faulted: number;
  readonly completed: number;
  readonly retries: number;
}

/** What the program frames.c tells of its instructions, case by case: how often each faulted and completed. */
function expectations(bare: string): Map<string, Expected> {
  const expected = new Map<string, Expected>();
  for (const part of bare.split(/^(?=\w)/m)) {
    const [mode, name, mend] = part.slice(0, part.indexOf("\n")).split(" ");
    assert.ok(name !== undefined);
    const faulted = part.match(/^ {2}signal /gm)?.length ?? 0;
    assert.ok(faulted <= 1, `one signal in: ${part}`);
    const retries = faulted === 1 && mode === "return" && mend === "again" ? 1 : 0;
    const before = expected.get(name) ?? { faulted: 0, completed: 0, retries: 0 };
    expected.set(name, {
      faulted: before.faulted + faulted,
      completed: before.completed + (faulted === 0 ? 1 : retries),
      retries: before.retries + retries,
    });
  }
  return expected;
}

const PHASES = {
  pre: { preHandler: () => undefined },
  post: { postHandler: () => undefined },
  fault: { postFaultHandler: () => undefined },
  "pre, post and fault": {
    preHandler: () => undefined,
    postHandler: () => undefined,
    postFaultHandler: () => undefined,
  },
} as const satisfies Record<string, Partial<Kprobe>>;

for (const [phases, handlers] of Object.entries(PHASES)) {
  const tag = phases.includes(" ") ? "" : `[S3 ${phases}] `;
  test(
    `${tag}whatever an instruction raises, its program sees signal, address, registers and flags as bare: ${phases}`,
    GCC,
    async () => {
      const program = target("frames");
      const bare = run(program);
      assert.equal(bare.status, 0);
      const expected = expectations(bare.stdout);
      assert.ok(expected.size > 40, "the program has its cases");

      const names = [...expected.keys()];
      const probed = await traced(
        [program],
        names.map((name) => ({ symbolName: `case_${name}`, ...handlers })),
      );
      assert.deepEqual(probed.status, SUCCESS);
      assert.equal(probed.output, bare.stdout);
      for (const probe of probed.probes) {
        const { faulted, completed, retries } = expected.get(probe.name.replace("case_", "")) ?? {};
        const { hits, abandoned, nmissed } = probe;
        assert.deepEqual(
          {
            hits,
            abandoned,
            nmissed,
            faulted: probe.faulted,
            completed: probe.completed,
            retries: probe.retries,
          },
          {
            hits: (faulted ?? NaN) + (completed ?? NaN),
            abandoned: 0,
            nmissed: 0,
            faulted,
            completed,
            retries,
          },
          probe.name,
        );
      }
    },
  );
}
