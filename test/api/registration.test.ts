// Probes come and go at any time: from handlers, and while threads are inside a hit. What cannot be
// probed is refused in one clear sentence.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  attach,
  type Kprobe,
  launch,
  ProbeRefused,
  type RegisteredProbe,
  TargetError,
  TargetGone,
  UsageError,
} from "../../src/index.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { SUCCESS } from "../support/traced.js";
import { PATIENT, STEADY, startSteady, textOf } from "./aside.js";

const GCC = needs("gcc");

function addsUp({ hits, completed, faulted, abandoned }: RegisteredProbe): void {
  assert.equal(hits, completed + faulted + abandoned);
}

const PHASES = ["preHandler", "postHandler", "postFaultHandler"] as const;

for (const [index, phase] of (["pre", "post", "fault"] as const).entries()) {
  const handler = PHASES[index] as (typeof PHASES)[number]; // three of each
  test(
    `[S10 ${phase}] a handler unregisters itself, and another at the same instruction: from then on neither runs`,
    GCC,
    async () => {
      const program = target("faulty");
      const probes: RegisteredProbe[] = [];
      const calls = [0, 0, 0];
      const counting = (which: number): Kprobe => ({
        symbolName: "the_store",
        [handler]() {
          calls[which] = (calls[which] ?? 0) + 1;
          if (which === 0) {
            void probes[0]?.unregister();
            void probes[1]?.unregister();
          }
        },
      });
      await using running = await launch({ ...PATIENT, command: [program, ">/dev/null"] });
      for (const which of [0, 1, 2]) probes.push(await running.registerKprobe(counting(which)));
      assert.deepEqual(await running.run(), SUCCESS);
      // The first call of the first took both out before the second's handler of that very hit.
      assert.deepEqual(calls, [1, 0, phase === "pre" ? 10 : 5]);
      for (const probe of probes) addsUp(probe);
      const [, , last] = probes;
      assert.deepEqual([last?.hits, last?.completed, last?.faulted, last?.retries], [10, 5, 5, 5]);
    },
  );

  test(
    `[S10 ${phase}] a handler registers a probe elsewhere, which is armed before the thread goes on`,
    GCC,
    async () => {
      let registered: Promise<RegisteredProbe> | undefined;
      let seen = 0;
      await using running = await launch({ ...PATIENT, command: [target("faulty"), ">/dev/null"] });
      const probe = await running.registerKprobe({
        symbolName: "the_store",
        [handler]() {
          registered ??= running.registerKprobe({
            symbolName: "the_work",
            preHandler() {
              seen++;
            },
          });
        },
      });
      assert.deepEqual(await running.run(), SUCCESS);
      const added = await registered;
      assert.ok(added !== undefined);
      assert.deepEqual([seen, added.hits, added.completed], [10, 10, 10]);
      addsUp(probe);
    },
  );
}

test("a handler finds the counters as they are at its hit, one hit right behind the other", GCC, async () => {
  const wrong: string[] = [];
  let calls = 0;
  await using running = await launch({ ...PATIENT, command: [target("threads"), "20", ">/dev/null"] });
  const probe = await running.registerKprobe({
    symbolName: "the_pass",
    preHandler({ hits }) {
      if (hits !== ++calls) wrong.push(`${String(hits)} in call ${String(calls)}`);
    },
  });
  assert.deepEqual(await running.run(), SUCCESS);
  assert.deepEqual(wrong, []);
  assert.equal(probe.hits, 64 * 20);
});

test(
  "arm and disarm while threads are inside hits: nothing is lost, the text is whole afterwards",
  GCC,
  async () => {
    const program = await startSteady(6);
    const text = textOf(program.pid);
    const seen: RegisteredProbe[] = [];
    {
      await using running = await attach({ pid: program.pid });
      const phases: Partial<Kprobe>[] = [
        { preHandler: () => undefined },
        { postHandler: () => undefined },
        { preHandler: () => undefined, postHandler: () => undefined, postOn: "both" },
      ];
      for (const symbolName of ["the_beat", "rest"]) {
        for (const phase of phases) seen.push(await running.registerKprobe({ symbolName, ...phase }));
      }
      for (let round = 0; round < 60; round++) {
        const probe = seen[round % seen.length];
        await probe?.disarm();
        const before = probe?.hits;
        const other = seen[(round * 7 + 3) % seen.length];
        await other?.arm();
        if (probe !== other) assert.equal(probe?.hits, before, "disarmed is disarmed");
        await probe?.arm();
      }
      const enough = (): boolean => seen.every((probe) => probe.hits > 50);
      for (let round = 0; round < 400 && !enough(); round++) await seen[0]?.arm();
      for (const probe of seen) await probe.unregister();
      assert.ok(enough(), seen.map((probe) => probe.hits).join(" "));
    }
    for (const probe of seen) addsUp(probe);
    assert.equal(textOf(program.pid), text);
    assert.deepEqual(await program.end(), STEADY);
  },
);

test("what cannot be probed is refused with a reason, and nothing is changed", GCC, async () => {
  const program = target("faulty");
  await using running = await launch({ ...PATIENT, command: [program, ">/dev/null"] });
  const refused = async (kprobe: Kprobe, reason: string, sentence: RegExp): Promise<void> => {
    await assert.rejects(running.registerKprobe({ preHandler: () => undefined, ...kprobe }), (error) => {
      assert.ok(error instanceof ProbeRefused, String(error));
      assert.equal(error.reason, reason);
      assert.match(error.message, sentence);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  };
  await refused(
    { symbolName: "the_store", offset: 1 },
    "inside-instruction",
    /^cannot probe 0x[0-9a-f]+: .*inside the instruction at 0x[0-9a-f]+$/,
  );
  await using store = await running.registerKprobe({ symbolName: "the_store" });
  await refused({ symbolName: "the_store", offset: 1 }, "inside-instruction", /instruction/);
  await assert.rejects(
    running.registerKprobe({ symbolName: "the_stroe" }),
    (error) =>
      error instanceof TargetError &&
      /^no function the_stroe in the program and its libraries: did you mean the_store\?$/.test(
        error.message,
      ),
  );
  await assert.rejects(
    running.registerKprobe({ symbolName: "stlren", module: "libc.so.6" }),
    (error) =>
      error instanceof TargetError &&
      /^no function stlren in libc\.so\.6: did you mean strlen\?$/.test(error.message),
  );
  await assert.rejects(
    running.registerKprobe({ symbolName: "something_quite_different" }),
    (error) =>
      error instanceof TargetError &&
      error.message === "no function something_quite_different in the program and its libraries",
  );
  await assert.rejects(
    running.registerKprobe({ address: 8 }),
    (error) =>
      error instanceof TargetError && error.message === "0x8 is in no program or library of the target",
  );
  await assert.rejects(
    running.registerKprobe({ address: 1n << 60n }),
    (error) => error instanceof UsageError && error.message.endsWith("is no canonical address"),
  );
  await assert.rejects(running.registerKprobe({}), UsageError);
  await assert.rejects(running.registerKprobe({ symbolName: "work", offset: 0.5 }), UsageError);
  await assert.rejects(running.registerKprobe({ symbolName: "work", address: 8 }), UsageError);
  assert.deepEqual(await running.run(), SUCCESS);
  assert.equal(store.hits, 10);
});

test(
  "after the target's end: what needs it is refused, what does not is done, the counts stay",
  GCC,
  async () => {
    await using running = await launch({ ...PATIENT, command: [target("faulty"), ">/dev/null"] });
    const probe = await running.registerKprobe({ symbolName: "the_store" });
    assert.deepEqual(await running.run(), SUCCESS);
    assert.deepEqual(await running.run(), SUCCESS);
    await assert.rejects(running.registerKprobe({ symbolName: "work" }), TargetGone);
    await assert.rejects(probe.arm(), TargetGone);
    await probe.disarm();
    await probe.unregister();
    await probe.unregister();
    assert.deepEqual([probe.hits, probe.faults], [10, { fenced: 0, handler: 0, instruction: 5 }]);
  },
);

test("an address whose bytes are no instruction is refused", GCC, async () => {
  const program = await startSteady(1);
  {
    await using running = await attach({ pid: program.pid });
    await assert.rejects(running.registerKprobe({ symbolName: "the_hole" }), (error) => {
      assert.ok(error instanceof ProbeRefused);
      assert.match(error.message, /^cannot probe 0x[0-9a-f]+: [^\n]+$/);
      return true;
    });
  }
  assert.deepEqual(await program.end(), STEADY);
});

test("limits that are none are refused before anything is started", async () => {
  for (const limit of [0, -1, 0.5, NaN, Infinity]) {
    await assert.rejects(launch({ command: ["true"], handlerLimit: limit }), UsageError);
    await assert.rejects(launch({ command: ["true"], ownerLimit: limit }), UsageError);
  }
});

test("a probe that was unregistered cannot be armed any more", GCC, async () => {
  await using running = await launch({ ...PATIENT, command: [target("faulty"), ">/dev/null"] });
  const probe = await running.registerKprobe({ symbolName: "the_store" });
  await probe.unregister();
  await probe.unregister();
  await assert.rejects(probe.arm(), UsageError);
  assert.deepEqual(await running.run(), SUCCESS);
  assert.equal(probe.hits, 0);
});
