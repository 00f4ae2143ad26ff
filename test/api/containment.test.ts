// Handlers that do not come back, or not as they should: the target and the trace go on.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { attach, type HandlerKit, type Kprobe, launch, type RegisteredProbe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";
import { PATIENT, STEADY, startSteady, until } from "./aside.js";

const GCC = needs("gcc");
const LIMIT = 100;

/** A handler in each phase of a probe on faulty.c's store, which faults and is tried again. */
const PHASES = {
  pre: (body: (k: HandlerKit) => undefined): Partial<Kprobe> => ({ preHandler: (_p, _r, k) => body(k) }),
  post: (body: (k: HandlerKit) => undefined): Partial<Kprobe> => ({ postHandler: (_p, _r, k) => body(k) }),
  fault: (body: (k: HandlerKit) => undefined): Partial<Kprobe> => ({
    postFaultHandler: (_p, _r, k) => body(k),
  }),
};

/** Output and status as bare, and a second probe on the same instruction undisturbed, or the test fails. */
async function contained(
  kprobe: Partial<Kprobe>,
  handlerLimit: number = PATIENT.handlerLimit,
): Promise<RegisteredProbe> {
  const program = target("faulty");
  const bare = run(program);
  const neighbour = { symbolName: "the_store", postHandler: () => undefined };
  const { output, status, probes } = await traced(
    [program],
    [{ symbolName: "the_store", ...kprobe }, neighbour],
    { ownerLimit: PATIENT.ownerLimit, handlerLimit },
  );
  assert.equal(output, bare.stdout);
  assert.deepEqual(status, SUCCESS);
  const [probe, other] = probes;
  assert.ok(probe !== undefined && other !== undefined);
  assert.equal(probe.hits, probe.completed + probe.faulted + probe.abandoned);
  assert.deepEqual([other.hits, other.completed, other.faulted, other.retries], [10, 5, 5, 5]);
  assert.equal(other.disarmedBecause, undefined);
  return probe;
}

const RUNAWAYS: Record<string, (k: HandlerKit) => undefined> = {
  "loops for ever": () => {
    for (;;);
  },
  "loops for ever and catches everything": () => {
    for (;;) {
      try {
        for (;;);
      } catch {
        continue;
      } finally {
        // eslint-disable-next-line no-unsafe-finally -- a handler may be that bad
        continue;
      }
    }
  },
  "loops for ever in a fence": (k) => {
    k.ksetjmp(() => {
      for (;;);
    });
  },
  "waits for what never comes": () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    return undefined;
  },
  "backtracks without end": () => {
    /^(a+)+$/.test("a".repeat(64) + "b");
    return undefined;
  },
  "takes memory without bound": () => {
    const hoard: unknown[] = [];
    for (;;) hoard.push(Array.from({ length: 1000 }, (_, index) => ({ index })));
  },
  "sleeps where no watchdog reaches": () => {
    spawnSync("sleep", ["0.6"]);
    return undefined;
  },
};

for (const [phase, make] of Object.entries(PHASES)) {
  for (const [name, body] of Object.entries(RUNAWAYS)) {
    // Once for each way, and once for each phase, is enough.
    if (phase !== "pre" && name !== "loops for ever") continue;
    test(
      `[S10 ${phase}] a handler that ${name}: the target is released, the probe disarmed`,
      GCC,
      async () => {
        const probe = await contained(make(body), LIMIT);
        assert.match(probe.disarmedBecause ?? "", /^the handler did not end within 100 ms$/);
        assert.ok(probe.hits === 1 || (phase === "post" && probe.hits === 2), `${String(probe.hits)} hits`);
      },
    );
  }

  test(
    `[S10 ${phase}] a handler that returns a promise: the probe is disarmed, nothing is left unhandled`,
    GCC,
    async () => {
      // The types refuse it; JavaScript does not.
      const late = (async () => {
        await Promise.resolve();
        throw new Error("too late");
      }) as unknown as () => undefined;
      const probe = await contained(make(late));
      assert.match(probe.disarmedBecause ?? "", /returned a promise/);
    },
  );

  test(
    `[S10 ${phase}] a handler that overflows the stack: an error of the probe, which stays armed`,
    GCC,
    async () => {
      const overflow = (k: HandlerKit): undefined => {
        k.ksetjmp(() => overflow(k));
      };
      const probe = await contained(make(overflow));
      const calls = phase === "pre" ? 10 : 5;
      assert.equal(probe.handlerErrors, calls);
      assert.match(probe.errors[0] ?? "", /^RangeError: Maximum call stack size exceeded$/);
      assert.equal(probe.disarmedBecause, undefined);
    },
  );
}

test(
  "[S2 pre] what a runaway held is released, after the target; a release that does not end is stopped, too",
  GCC,
  async () => {
    const released: string[] = [];
    const holds = (k: HandlerKit): void => {
      k.hold("a lock", () => released.push("a lock"));
      k.hold("a loop", () => {
        released.push("a loop");
        if (released.length === 1) for (;;);
      });
    };
    await contained(
      {
        preHandler(_p, _r, k) {
          holds(k);
          for (;;);
        },
      },
      LIMIT,
    );
    assert.deepEqual(released, ["a loop"]);
    await contained({
      preHandler: ((_p: unknown, _r: unknown, k: HandlerKit) => {
        holds(k);
        return Promise.resolve();
      }) as unknown as () => undefined,
    });
    assert.deepEqual(released, ["a loop", "a loop", "a lock"]);
  },
);

const THROWN: Record<string, [value: () => unknown, told: RegExp]> = {
  "an object without a prototype": [() => Object.create(null) as unknown, /no text/],
  "an error whose message throws": [
    () =>
      Object.defineProperty(new Error(), "message", {
        get: () => {
          throw new Error("worse");
        },
      }),
    /no text/,
  ],
  "a revoked proxy": [
    () => {
      const { proxy, revoke } = Proxy.revocable(new Error(), {});
      revoke();
      return proxy;
    },
    /no text/,
  ],
  undefined: [() => undefined, /undefined/],
  "more memory than there can be": [() => new Uint8Array(2 ** 50), /RangeError/],
  "a string longer than there can be": [() => "x".repeat(2 ** 30), /RangeError/],
};

for (const [name, [value, told]] of Object.entries(THROWN)) {
  test(`[S10 pre] a handler that throws ${name}: told as an error`, GCC, async () => {
    const probe = await contained({
      preHandler: () => {
        throw value();
      },
    });
    assert.equal(probe.handlerErrors, 10);
    assert.match(probe.errors[0] ?? "", told);
  });
}

test("[S2 pre] a faultHandler that faults, loops or throws is contained as a handler is", GCC, async () => {
  const bad: Kprobe["preHandler"] = (_p, _r, k) => void k.memory.uint8(8);
  const throws = await contained({
    preHandler: bad,
    faultHandler() {
      throw new Error("worse");
    },
  });
  assert.equal(throws.handlerFaults, 10);
  const loops = await contained(
    {
      preHandler: bad,
      faultHandler() {
        for (;;);
      },
    },
    LIMIT,
  );
  assert.equal(loops.hits, loops.completed + loops.faulted);
});

test("of a probe's errors the first are kept, all are counted", GCC, async () => {
  const { probes } = await traced(
    [target("threads"), "20"],
    [
      {
        symbolName: "the_pass",
        preHandler() {
          throw new Error("a bug");
        },
      },
    ],
    PATIENT,
  );
  const [probe] = probes;
  assert.ok(probe !== undefined);
  assert.equal(probe.handlerErrors, 64 * 20);
  assert.deepEqual(
    probe.errors,
    Array.from({ length: 10 }, () => "Error: a bug"),
  );
});

test(
  "the caller's timers come, and its commands are obeyed, while the target is hit all the time",
  GCC,
  async () => {
    const program = await startSteady(8);
    {
      await using running = await attach({ pid: program.pid });
      let ticks = 0;
      const timer = setInterval(() => ticks++, 5);
      await using probe = await running.registerKprobe({
        symbolName: "the_beat",
        preHandler: () => undefined,
        postHandler: () => undefined,
      });
      const began = performance.now();
      let commands = 0;
      for (; ticks < 50 || probe.hits < 500; commands++) {
        if (performance.now() - began > 20_000) break;
        await using guest = await running.registerKprobe({
          symbolName: "rest",
          postHandler: () => undefined,
        });
        await guest.disarm();
        await guest.arm();
      }
      clearInterval(timer);
      assert.ok(ticks >= 50 && probe.hits >= 500, `${String(ticks)} ticks, ${String(probe.hits)} hits`);
      assert.ok(commands > 10, `${String(commands)} rounds of commands`);
    }
    assert.deepEqual(await program.end(), STEADY);
  },
);

test("commands are obeyed at once, and timers come, while the target sleeps", async () => {
  await using running = await launch({ command: ["perl", "-e", "sleep 600 for 1..9"] });
  await running.go();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  for (let round = 0; round < 5; round++) {
    const probe = await running.registerKprobe({
      symbolName: "clock_nanosleep",
      module: "libc.so.6",
      preHandler: () => undefined,
    });
    await probe.disarm();
    await probe.arm();
    await probe.unregister();
  }
  await until("the timer comes", () => ticks >= 5);
  clearInterval(timer);
  process.kill(running.pid, "SIGKILL");
  assert.deepEqual(await running.run(), { kind: "killed", signal: "SIGKILL", number: 9, coreDumped: false });
});
