// What a fence catches, and what it must let through: told apart at run time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type HandlerKit, type Kprobe, MemoryFault, type RegisteredProbe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";
import { PATIENT } from "./aside.js";

const GCC = needs("gcc");

type Body = (k: HandlerKit, hit: number) => void;

/** On faulty.c's `work`, which is called ten times. Output and status as bare, or the test fails. */
async function onWork(...kprobes: readonly Kprobe[]): Promise<readonly RegisteredProbe[]> {
  const program = target("faulty");
  const { output, status, probes } = await traced([program], kprobes, PATIENT);
  assert.equal(output, run(program).stdout);
  assert.deepEqual(status, SUCCESS);
  for (const { hits, completed, faulted, abandoned } of probes)
    assert.equal(hits, completed + faulted + abandoned);
  return probes;
}

/** One probe with a body in one phase; it is told how many calls there were before. */
async function oneProbe(
  phase: "pre" | "post",
  body: Body,
  more: Partial<Kprobe> = {},
): Promise<RegisteredProbe> {
  let calls = 0;
  const handler: Kprobe["preHandler"] = (_p, _regs, k) => {
    body(k, calls++);
  };
  const [probe] = await onWork({
    symbolName: "work",
    ...(phase === "pre" ? { preHandler: handler } : { postHandler: handler }),
    ...more,
  });
  assert.ok(probe !== undefined);
  return probe;
}

/** An address at which nothing is mapped. */
const NOWHERE = 8;

for (const phase of ["pre", "post"] as const) {
  test(
    `[S6 ${phase}] nested fences: the innermost catches, the outer goes on, and catches what comes behind`,
    GCC,
    async () => {
      const way: string[] = [];
      const probe = await oneProbe(phase, (k, hit) => {
        const note = (text: string): void => {
          if (hit === 0) way.push(text);
        };
        const outer = k.ksetjmp(() => {
          const inner = k.ksetjmp(() => {
            k.memory.uint8(NOWHERE);
            note("never");
          });
          note(`inner ${String(inner)} ${k.fault}`);
          k.memory.uint8(NOWHERE + 1);
          note("never");
        });
        note(`outer ${String(outer)} ${k.fault}`);
      });
      assert.deepEqual(way, [
        "inner 11 read fault at 0x8 (unmapped)",
        "outer 11 read fault at 0x9 (unmapped)",
      ]);
      assert.deepEqual(probe.faults, { fenced: 20, handler: 0, instruction: 0 });
    },
  );

  test(
    `[S6 ${phase}] klongjmp leaves the innermost fence with its code; outside of one, or with 0, it is an error`,
    GCC,
    async () => {
      const codes: number[] = [];
      const probe = await oneProbe(phase, (k, hit) => {
        if (hit < 8) {
          codes.push(
            k.ksetjmp(() => {
              codes.push(
                k.ksetjmp(() => {
                  k.klongjmp(hit + 1);
                }),
              );
              k.klongjmp(-1);
            }),
          );
        } else if (hit === 8) k.klongjmp(5);
        else k.ksetjmp(() => k.klongjmp(0));
      });
      assert.deepEqual(codes, Array.from({ length: 8 }, (_, hit) => [hit + 1, -1]).flat());
      assert.deepEqual(probe.errors, [
        "Error: klongjmp: no ksetjmp is being run",
        "RangeError: klongjmp: the code must be an integer other than 0",
      ]);
      assert.deepEqual(probe.faults, { fenced: 0, handler: 0, instruction: 0 });
    },
  );

  test(
    `[S7a ${phase}] a fault kept from an earlier hit and thrown again is no fault of this hit: no fence catches it`,
    GCC,
    async () => {
      let kept: unknown;
      let caught = 0;
      const told: unknown[] = [];
      const probe = await oneProbe(
        phase,
        (k, hit) => {
          if (hit === 0) {
            try {
              k.memory.uint8(NOWHERE);
            } catch (error) {
              kept = error;
              throw error;
            }
          }
          const again = k.ksetjmp(() => {
            throw kept;
          });
          caught += again;
        },
        { faultHandler: (_p, fault) => void told.push(fault.address) },
      );
      assert.ok(kept instanceof Error && kept.cause instanceof MemoryFault);
      assert.equal(caught, 0);
      assert.deepEqual(told, [BigInt(NOWHERE)], "faultHandler was told of the real one only");
      assert.deepEqual(probe.faults, { fenced: 0, handler: 1, instruction: 0 });
      assert.equal(probe.handlerErrors, 9);
    },
  );

  test(
    `[S7a ${phase}] a MemoryFault that the handler made itself is a bug of its, fenced or not`,
    GCC,
    async () => {
      let through = 0;
      const probe = await oneProbe(phase, (k) => {
        k.ksetjmp(() => {
          throw new MemoryFault(8n, "read", "unmapped");
        });
        through++;
      });
      assert.equal(through, 0);
      assert.deepEqual([probe.handlerErrors, probe.handlerFaults, probe.fencedFaults], [10, 0, 0]);
    },
  );

  test(
    `[S7a ${phase}] one helper, called fenced and unfenced, recursively: each fault goes where it belongs`,
    GCC,
    async () => {
      const seen = { caught: 0, behind: 0, held: [] as string[] };
      function helper(k: HandlerKit, depth: number, fenceAt: number): void {
        const deeper = (): void => {
          if (depth === 0) k.memory.uint8(NOWHERE);
          else helper(k, depth - 1, fenceAt);
        };
        if (depth === fenceAt) {
          if (k.ksetjmp(deeper) !== 0) seen.caught++;
        } else deeper();
        // Reached by those outside of the fence only.
        if (depth > fenceAt) seen.behind++;
      }
      const probe = await oneProbe(
        phase,
        (k) => {
          helper(k, 5, 2);
          k.hold("the log", () => undefined);
          helper(k, 5, 9);
          seen.behind = -1000;
        },
        { faultHandler: (_p, _fault, held) => void seen.held.push(...held) },
      );
      assert.deepEqual([seen.caught, seen.behind], [10, 30]);
      assert.deepEqual(
        seen.held,
        Array.from({ length: 10 }, () => "the log"),
      );
      assert.deepEqual(probe.faults, { fenced: 10, handler: 10, instruction: 0 });
    },
  );

  test(
    `[S7b ${phase}] MAXCANCELLED hits in a row disarm the probe, said once; a good hit between begins anew`,
    GCC,
    async () => {
      const inRow = await oneProbe(phase, (k) => void k.memory.uint8(NOWHERE), { maxcancelled: 4 });
      assert.match(
        inRow.disarmedBecause ?? "",
        /^4 hits in a row were cancelled by a fault \(MAXCANCELLED\)$/,
      );
      assert.equal(inRow.handlerFaults, 4);
      const mixed = await oneProbe(
        phase,
        (k, hit) => {
          if (hit % 4 !== 3) k.memory.uint8(NOWHERE);
        },
        {
          maxcancelled: 4,
        },
      );
      assert.equal(mixed.disarmedBecause, undefined);
      assert.deepEqual([mixed.hits, mixed.handlerFaults], [10, 8]);
      const never = await oneProbe(phase, (k) => void k.memory.uint8(NOWHERE), { maxcancelled: 0 });
      assert.deepEqual([never.hits, never.handlerFaults, never.disarmedBecause], [10, 10, undefined]);
    },
  );
}

test(
  "[S2 pre] [S2 post] what is held is released last first, once, even if a release throws; and told in order",
  GCC,
  async () => {
    const released: string[] = [];
    const told: string[][] = [];
    const body: Kprobe["preHandler"] = (_p, _regs, k) => {
      k.hold("first", () => released.push("first"));
      k.hold("second", () => {
        released.push("second");
        throw new Error("cannot be released");
      });
      const third = k.hold("third", () => released.push("third"));
      third();
      third();
      k.hold("fourth", () => released.push("fourth"));
      k.memory.uint8(NOWHERE);
    };
    const [probe] = await onWork({
      symbolName: "work",
      preHandler: body,
      postHandler: body,
      faultHandler: (_p, _fault, held) => void told.push([...held]),
    });
    const once = ["third", "fourth", "second", "first"];
    assert.deepEqual(released, Array.from({ length: 20 }, () => once).flat());
    assert.deepEqual(
      told,
      Array.from({ length: 20 }, () => ["first", "second", "fourth"]),
    );
    assert.equal(probe?.handlerFaults, 20);
  },
);

test(
  "[S2 pre] what a handler holds when it has a bug is released, too; its faultHandler is not called",
  GCC,
  async () => {
    let locked = 0;
    let told = 0;
    const [probe] = await onWork({
      symbolName: "work",
      preHandler(_p, _regs, k) {
        locked++;
        k.hold("the lock", () => locked--);
        throw new TypeError("a bug");
      },
      faultHandler() {
        told++;
      },
    });
    assert.deepEqual([locked, told, probe?.handlerErrors, probe?.handlerFaults], [0, 0, 10, 0]);
  },
);

test(
  "[S3d pre] [S3d post] [S3d fault] faults of handlers and of the instruction in one hit: each has its own handler and count",
  GCC,
  async () => {
    const calls = { fault: 0, faultHandler: 0 };
    const bad: Kprobe["preHandler"] = (_p, _regs, k) => void k.memory.uint8(NOWHERE);
    const [probe] = await onWork({
      symbolName: "the_store",
      preHandler: bad,
      postHandler: bad,
      postFaultHandler(_p, _regs, k, fault) {
        assert.equal(fault.name, "SIGSEGV");
        calls.fault++;
        k.memory.uint8(NOWHERE);
      },
      faultHandler(_p, fault) {
        assert.equal(fault.address, BigInt(NOWHERE));
        calls.faultHandler++;
      },
    });
    assert.deepEqual(calls, { fault: 5, faultHandler: 10 + 5 + 5 });
    assert.ok(probe !== undefined);
    assert.deepEqual(probe.faults, { fenced: 0, handler: 20, instruction: 5 });
    assert.deepEqual([probe.hits, probe.completed, probe.faulted, probe.retries], [10, 5, 5, 5]);
    assert.deepEqual(probe.errors, []);
  },
);
