import assert from "node:assert/strict";
import { test } from "node:test";
import { type Kprobe, launch, type RegisteredProbe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";

const GCC = needs("gcc");

/** Registers kprobes on faulty.c, lets it run to its end, and gives their books. */
async function onFaulty(...kprobes: readonly Kprobe[]): Promise<readonly RegisteredProbe[]> {
  await using running = await launch({ command: [target("faulty")], write: () => undefined });
  const probes: RegisteredProbe[] = [];
  for (const kprobe of kprobes) probes.push(await running.registerKprobe(kprobe));
  assert.deepEqual(await running.run(), { kind: "exited", status: 0 });
  return probes;
}

function books({
  hits,
  completed,
  faulted,
  abandoned,
  retries,
  nmissed,
  fencedFaults,
  handlerFaults,
}: RegisteredProbe) {
  return { hits, completed, faulted, abandoned, retries, nmissed, fencedFaults, handlerFaults };
}

const NOTHING = { abandoned: 0, nmissed: 0, fencedFaults: 0, handlerFaults: 0 };

test(
  "[S6 pre] ksetjmp says 0 for a body that ran through and the fault's code for one that faulted",
  GCC,
  async () => {
    let fine = 0;
    let dodgy = 0;
    const [probe] = await onFaulty({
      symbolName: "work",
      preHandler(_p, regs, k) {
        if (k.ksetjmp(() => k.memory.string(regs.rsi)) !== 0) dodgy++;
        else fine++;
      },
    });
    assert.deepEqual([fine, dodgy], [5, 5]);
    assert.ok(probe !== undefined);
    assert.deepEqual(books(probe), {
      ...NOTHING,
      hits: 10,
      completed: 10,
      faulted: 0,
      retries: 0,
      fencedFaults: 5,
    });
  },
);

test(
  "[S3d fault] an instruction fault never calls faultHandler, a handler fault never postFaultHandler",
  GCC,
  async () => {
    const calls = { faultHandler: 0, postFaultHandler: 0 };
    const [store, work] = await onFaulty(
      {
        symbolName: "the_store",
        postFaultHandler() {
          calls.postFaultHandler++;
        },
        faultHandler() {
          throw new Error("called for an instruction fault");
        },
      },
      {
        symbolName: "work",
        preHandler(_p, regs, k) {
          k.memory.string(regs.rsi);
        },
        postFaultHandler() {
          throw new Error("called for a handler fault");
        },
        faultHandler(_p, fault) {
          calls.faultHandler++;
          assert.equal(fault.address, 8n);
        },
      },
    );
    assert.deepEqual(calls, { faultHandler: 5, postFaultHandler: 5 });
    assert.ok(store !== undefined && work !== undefined);
    assert.deepEqual(store.errors, []);
    assert.deepEqual(work.errors, []);
    assert.deepEqual(books(store), { ...NOTHING, hits: 10, completed: 5, faulted: 5, retries: 5 });
    assert.deepEqual(books(work), {
      ...NOTHING,
      hits: 10,
      completed: 10,
      faulted: 0,
      retries: 0,
      handlerFaults: 5,
    });
  },
);

test("[S3b post] a post-handler for both outcomes is told of the fault", GCC, async () => {
  const outcomes: string[] = [];
  await onFaulty({
    symbolName: "the_store",
    postOn: "both",
    postHandler(_p, _regs, _k, hit) {
      outcomes.push(hit.fault?.name ?? "done");
    },
  });
  assert.deepEqual(outcomes, [
    "SIGSEGV",
    "done",
    "SIGSEGV",
    "done",
    "SIGSEGV",
    "done",
    "SIGSEGV",
    "done",
    "SIGSEGV",
    "done",
  ]);
});

test("[S2 pre] what a cancelled handler held is released, and its faultHandler is told", GCC, async () => {
  const released: string[] = [];
  const told: string[] = [];
  await onFaulty({
    symbolName: "work",
    preHandler(_p, regs, k) {
      k.hold("a lock", () => released.push("a lock"));
      const give = k.hold("a file", () => released.push("a file"));
      k.memory.string(regs.rsi);
      give();
    },
    faultHandler(_p, _fault, held) {
      told.push(held.join(" and "));
    },
  });
  // Good strings release the file themselves and keep the lock; bad ones have both taken away, last first.
  assert.deepEqual(
    told,
    Array.from({ length: 5 }, () => "a lock and a file"),
  );
  assert.equal(released.filter((each) => each === "a lock").length, 5);
});

test(
  "a pre-handler that sets rip, as kprobes lets it, leaves out the instruction and the post-handlers",
  needs("perl"),
  async () => {
    const script = 'print STDERR getppid() == 42 ? "" : "not sent elsewhere"; exit(getppid() - 42)';
    await using running = await launch({ command: ["perl", "-e", script] });
    let after = 0;
    const probe = await running.registerKprobe({
      symbolName: "getppid",
      module: "libc.so.6",
      preHandler(_p, regs, k) {
        regs.rax = 42n;
        regs.rip = k.memory.uint64(regs.rsp);
        regs.rsp += 8n;
      },
      postHandler() {
        after++;
      },
    });
    assert.deepEqual(await running.run(), { kind: "exited", status: 0 });
    assert.equal(after, 0);
    assert.deepEqual(books(probe), { ...NOTHING, hits: 2, completed: 2, faulted: 0, retries: 0 });
  },
);

test(
  "[S7b pre] a probe that was disarmed for its cancelled hits has as many again when it is armed again",
  needs("perl"),
  async () => {
    await using running = await launch({
      command: ["perl", "-e", "for (1 .. 40) { getppid() } kill 0, $$; for (1 .. 40) { getppid() }"],
    });
    const cancelled = await running.registerKprobe({
      symbolName: "getppid",
      module: "libc.so.6",
      maxcancelled: 5,
      preHandler: (_p, _regs, k) => void k.memory.uint8(8n),
    });
    let before = 0;
    await running.registerKprobe({
      symbolName: "kill",
      module: "libc.so.6",
      preHandler() {
        before = cancelled.hits;
        void cancelled.arm();
      },
    });
    assert.deepEqual(await running.run(), { kind: "exited", status: 0 });
    assert.deepEqual([before, cancelled.hits, cancelled.handlerFaults], [5, 10, 10]);
  },
);
