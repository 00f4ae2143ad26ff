// The mail's own snippets and sentences, as close to its letters as a compiler allows.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { HandlerKit, Kprobe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";
import { SUCCESS, traced, type Traced } from "../support/traced.js";

const GCC = needs("gcc");

/** The program faulty.c calls `work` ten times, every other time with a bad string. */
const WORK = "work";
const BAD = 5;

/** With its output and status as bare, or the test fails. */
async function onFaulty(...kprobes: readonly Kprobe[]): Promise<Traced> {
  const program = target("faulty");
  const bare = run(program);
  const outcome = await traced([program], kprobes);
  assert.equal(outcome.output, bare.stdout);
  assert.deepEqual(outcome.status, SUCCESS);
  return outcome;
}

const HANDLERS = {
  pre: (body: NonNullable<Kprobe["preHandler"]>): Kprobe => ({ symbolName: WORK, preHandler: body }),
  post: (body: NonNullable<Kprobe["preHandler"]>): Kprobe => ({ symbolName: WORK, postHandler: body }),
};

for (const phase of ["pre", "post"] as const) {
  test(
    `[S1 ${phase}] [S6 ${phase}] if (ksetjmp(…) == 0) do something dodgy; else printf("yes, that was dodgy")`,
    GCC,
    async () => {
      const { trace, probes } = await onFaulty(
        HANDLERS[phase]((_p, regs, k) => {
          let text = "";
          if (k.ksetjmp(() => void (text = k.memory.string(regs.rsi))) === 0) k.printf("%s\n", text);
          else k.printf("yes, that was dodgy\n");
        }),
      );
      assert.equal(trace, "good\nyes, that was dodgy\n".repeat(5));
      assert.deepEqual([probes[0]?.fencedFaults, probes[0]?.handlerFaults], [5, 0]);
    },
  );

  test(`[S1 ${phase}] a trace record of five items, two of them not there, is not lost`, GCC, async () => {
    const { trace } = await onFaulty(
      HANDLERS[phase]((_p, regs, k) => {
        const item = (read: () => unknown): unknown => {
          let value: unknown = null;
          k.ksetjmp(() => void (value = read()));
          return value;
        };
        k.record({
          number: regs.rdi,
          name: item(() => k.memory.string(regs.rsi)),
          first: item(() => k.memory.uint8(regs.rsp)),
          nowhere: item(() => k.memory.uint64(-8n)),
          last: item(() => typeof k.memory.uint64(regs.rsp)),
        });
      }),
    );
    const records = trace
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(records.length, 10);
    for (const [index, record] of records.entries()) {
      assert.deepEqual(Object.keys(record), ["number", "name", "first", "nowhere", "last"]);
      assert.equal(record["name"], index % 2 === 0 ? "good" : null);
      assert.equal(record["nowhere"], null);
      assert.equal(typeof record["first"], "number");
      assert.equal(record["last"], "bigint");
    }
  });

  test(
    `[S7a ${phase}] only this hit's handler faults are fenced: a bug in the same helper, called in a fence, passes through`,
    GCC,
    async () => {
      const seen = { fenced: 0, through: 0, jumped: 0 };
      function helper(k: HandlerKit, depth: number, act: () => void): void {
        if (depth === 0) act();
        else helper(k, depth - 1, act);
      }
      const { probes } = await onFaulty(
        HANDLERS[phase]((_p, _regs, k) => {
          if (
            k.ksetjmp(() => {
              helper(k, 4, () => k.memory.uint8(8));
            }) !== 0
          )
            seen.fenced++;
          if (
            k.ksetjmp(() => {
              helper(k, 4, () => k.klongjmp(42));
            }) === 42
          )
            seen.jumped++;
          // Inside a fence, and no fault of the target.
          if (seen.fenced % 2 === 0)
            k.ksetjmp(() => {
              helper(k, 4, () => {
                throw new TypeError("a bug");
              });
            });
          // The fence is over: the same helper faults unfenced.
          helper(k, 4, () => k.memory.uint8(8));
          seen.through++;
        }),
      );
      assert.deepEqual(seen, { fenced: 10, through: 0, jumped: 10 });
      const [probe] = probes;
      assert.ok(probe !== undefined);
      assert.deepEqual([probe.fencedFaults, probe.handlerFaults, probe.handlerErrors], [10, 5, 5]);
      assert.deepEqual(
        probe.errors,
        Array.from({ length: 5 }, () => "TypeError: a bug"),
      );
    },
  );

  test(`[S7b ${phase}] the maxfault counter of the probe exits recursive fault situations`, GCC, async () => {
    let deepest = 0;
    const { probes } = await onFaulty({
      ...HANDLERS[phase]((_p, _regs, k) => {
        // The catch part faults again, and its catch part, …
        function recover(depth: number): void {
          deepest = Math.max(deepest, depth);
          if (k.ksetjmp(() => k.memory.uint8(8)) !== 0) recover(depth + 1);
        }
        recover(0);
      }),
      maxfault: 7,
    });
    assert.equal(deepest, 7);
    assert.deepEqual([probes[0]?.fencedFaults, probes[0]?.handlerFaults, probes[0]?.hits], [70, 10, 10]);
  });
}

test("[S7b pre] maxfault counts over all handlers of a hit, and the next hit begins anew", GCC, async () => {
  const counts: number[] = [];
  const greedy: Kprobe["preHandler"] = (_p, _regs, k) => {
    counts.push(0);
    for (;;) {
      k.ksetjmp(() => k.memory.uint8(8));
      counts.push((counts.pop() ?? 0) + 1);
    }
  };
  await onFaulty({ symbolName: WORK, maxfault: 7, preHandler: greedy, postHandler: greedy });
  assert.deepEqual(counts, Array.from({ length: 10 }, () => [7, 0]).flat());
});

test("[S8 pre] try { do some dodgy stuff; } catch { phew(); } next", GCC, () => {
  const program = target("faulty");
  const outcome = trapline(
    "-e",
    `global phews, texts
     function do_some_dodgy_stuff() { texts .= user_string(pointer_arg(2)) . " " }
     function phew() { phews++ }
     probe process.function("work") {
       try {

         do_some_dodgy_stuff()
       }
       catch {

         phew()
       }

       next
       phews = 1000
     }
     probe end { printf("%s%d phews\\n", texts, phews) }`,
    "-c",
    program,
  );
  assert.equal(printed(outcome, run(program)), `${"good ".repeat(BAD)}${String(BAD)} phews\n`);
  assert.equal(outcome.stderr, "");
  assert.equal(outcome.status, 0);
});

test(
  "[S2 pre] [S2 post] a faultHandler frees off any locks and puts out an explanatory message",
  GCC,
  async () => {
    let locked = 0;
    const messages: string[] = [];
    const bug: Kprobe["preHandler"] = (_p, regs, k) => {
      locked++;
      const unlock = k.hold("the lock", () => {
        locked--;
      });
      k.memory.string(regs.rsi);
      unlock();
    };
    await onFaulty({
      symbolName: WORK,
      preHandler: bug,
      postHandler: bug,
      faultHandler(probe, fault, held) {
        assert.equal(locked, 0, "released before we are told");
        messages.push(`${probe.name}: ${fault.reason} at ${String(fault.address)}, held ${held.join(", ")}`);
      },
    });
    assert.deepEqual(
      messages,
      Array.from({ length: 10 }, () => "work: unmapped at 8, held the lock"),
    );
  },
);

test(
  "[S10 pre] [S10 post] [S10 fault] however handlers end, the hit ends the same: return, fault, error, unregister",
  GCC,
  async () => {
    const endings: Record<string, Kprobe["preHandler"]> = {
      returns: () => undefined,
      faults: (_p, _regs, k) => void k.memory.uint8(8),
      errs: () => {
        throw new Error("a bug");
      },
    };
    for (const [name, handler] of Object.entries(endings)) {
      const all = {
        preHandler: handler,
        postHandler: handler,
        postFaultHandler: (p, regs, k, _f, hit) => handler?.(p, regs, k, hit),
      } as Partial<Kprobe>;
      const { probes } = await onFaulty(
        { symbolName: "the_store", ...all },
        { symbolName: "the_store", preHandler: () => undefined },
      );
      for (const { hits, completed, faulted, abandoned, retries, nmissed } of probes) {
        assert.deepEqual(
          { hits, completed, faulted, abandoned, retries, nmissed },
          { hits: 10, completed: 5, faulted: 5, abandoned: 0, retries: 5, nmissed: 0 },
          `a handler that ${name}`,
        );
      }
    }
    for (const phase of ["preHandler", "postHandler", "postFaultHandler"] as const) {
      let calls = 0;
      const unregisters = (probe: { unregister(): Promise<void> }): void => {
        calls++;
        void probe.unregister();
      };
      const { probes } = await onFaulty(
        { symbolName: "the_store", [phase]: unregisters },
        { symbolName: "the_store", postHandler: () => undefined },
      );
      const [first, second] = probes;
      assert.ok(first !== undefined && second !== undefined);
      assert.ok(calls >= 1);
      assert.equal(
        first.hits,
        first.completed + first.faulted + first.abandoned,
        `unregistered in its ${phase}`,
      );
      assert.ok(first.hits >= 1 && first.hits <= 10);
      assert.deepEqual([second.hits, second.completed, second.faulted, second.retries], [10, 5, 5, 5]);
    }
  },
);
