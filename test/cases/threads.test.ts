import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { RegisteredProbe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");
const THREADS = 64;
const ROUNDS = 200;

test(
  "64 threads hit one probe while probes on the same instruction come and go: no pass is lost or doubled",
  GCC,
  async () => {
    const program = target("threads");
    const bare = run(program);
    assert.equal(bare.stdout, `passes ${String(THREADS * ROUNDS)} leaves ${String(THREADS * ROUNDS)}\n`);
    const seen = new Set<number>();
    let calls = 0;
    const guests: RegisteredProbe[] = [];
    const { output, status, probes } = await traced(
      [program],
      [
        {
          symbolName: "the_pass",
          preHandler(_p, _regs, _k, hit) {
            calls++;
            seen.add(hit.thread);
          },
        },
      ],
      {
        async meanwhile(running) {
          let over = false;
          const end = running.run().then(() => (over = true));
          for (let round = 0; round < 20 && !over; round++) {
            const guest = await running
              .registerKprobe({
                symbolName: "the_pass",
                ...(round % 2 === 0 ? { postHandler: () => undefined } : { preHandler: () => undefined }),
              })
              .catch(() => undefined);
            if (guest === undefined) break;
            await setTimeout(5);
            await guest.unregister().catch(() => undefined);
            guests.push(guest);
          }
          await end;
        },
      },
    );
    assert.equal(output, bare.stdout);
    assert.deepEqual(status, SUCCESS);
    const [probe] = probes;
    assert.ok(probe !== undefined);
    assert.equal(seen.size, THREADS);
    const { hits, completed, faulted, abandoned, nmissed } = probe;
    assert.deepEqual(
      { hits, completed, faulted, abandoned, nmissed, calls },
      {
        hits: THREADS * ROUNDS,
        completed: THREADS * ROUNDS,
        faulted: 0,
        abandoned: 0,
        nmissed: 0,
        calls: THREADS * ROUNDS,
      },
    );
    assert.ok(guests.length >= 3, "probes came and went");
    for (const guest of guests) assert.equal(guest.hits, guest.completed + guest.abandoned);
    assert.ok(guests.some((guest) => guest.hits > 0));
  },
);

test("64 threads, a script that counts by thread, calls and returns", GCC, () => {
  const program = target("threads");
  const bare = run(program);
  const outcome = trapline(
    "-e",
    `global passes, calls, returns, wrong
     probe process.function("the_pass") { passes[tid()]++ }
     probe process.function("leaf") { calls++ }
     probe process.function("leaf").return { returns++; if (returnval() < 1 || returnval() > ${String(ROUNDS)}) wrong++ }
     probe end { foreach (t in passes) { n++; sum += passes[t] } printf("%d %d %d %d %d\\n", n, sum, calls, returns, wrong) }`,
    "-c",
    program,
  );
  const all = String(THREADS * ROUNDS);
  assert.equal(printed(outcome, bare), `${String(THREADS)} ${all} ${all} ${all} 0\n`);
  assert.equal(outcome.stderr, "");
});
