// registerKprobe on a real kernel: all handlers, fences, faultHandler and postFaultHandler, with real page faults.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gdb, type Kprobe, lab, type RegisteredProbe } from "../../src/index.js";
import type { LabMachine } from "../../src/targets/lab/machine.js";
import { bootedLab, NEEDS_LAB } from "../support/lab.js";
import { faultingPlaces } from "./machine.js";

const DD = "dd if=/dev/zero bs=256k count=2 2>/dev/null | md5sum";
type PhaseName = "preHandler" | "postHandler" | "postFaultHandler";
type Body = NonNullable<Kprobe["preHandler"]>;

describe("registerKprobe on a kernel", { concurrency: false, ...NEEDS_LAB }, () => {
  let machine: LabMachine;
  let bare = "";
  /** What `symbolName` and `offset` are of the instruction that faults. */
  let where: { readonly symbolName: string; readonly offset: number };

  before(async () => {
    machine = await bootedLab();
    const [symbolName = "", offset = "0"] = faultingPlaces(machine.kernel).clears.split("+");
    where = { symbolName, offset: Number(offset) };
    bare = (await machine.run(DD)).output;
  });
  after(async () => {
    await machine.end();
  });

  /** Runs a command of the guest with probes, which must not change what it says. */
  async function probed(
    command: string,
    kprobes: readonly Kprobe[],
  ): Promise<{
    readonly probes: readonly RegisteredProbe[];
    readonly printed: string;
    readonly output: string;
  }> {
    let printed = "";
    const parts: Uint8Array[] = [];
    const probes = await whileProbed(command, kprobes, parts, (text) => (printed += text));
    // Only now: until the target was left, its own programs could come to a probe.
    return { probes, printed, output: Buffer.concat(parts).toString("latin1") };
  }

  async function whileProbed(
    command: string,
    kprobes: readonly Kprobe[],
    parts: Uint8Array[],
    write: (text: string) => void,
  ): Promise<readonly RegisteredProbe[]> {
    await using target = await gdb({
      connect: `unix:${machine.stub}`,
      kernel: machine.kernel,
      handlerLimit: 10_000,
      ownerLimit: 10_000,
      write,
    });
    const loaded = await machine.load(command, {
      output: (bytes) => parts.push(bytes),
      error: (bytes) => parts.push(bytes),
    });
    const probes: RegisteredProbe[] = [];
    for (const kprobe of kprobes) probes.push(await target.registerKprobe(kprobe));
    loaded.start();
    assert.equal(await loaded.ended, 0);
    return probes;
  }

  function inEachPhase(body: (phase: PhaseName) => Body): Kprobe {
    return {
      ...where,
      maxcancelled: 0,
      preHandler: body("preHandler"),
      postHandler: body("postHandler"),
      postFaultHandler: (probe, registers, kit, _fault, hit) => {
        body("postFaultHandler")(probe, registers, kit, hit);
      },
    };
  }

  test("[S1 pre kernel] vfs_read: a record of five items, two of them not there, is written", async () => {
    const { printed, output, probes } = await probed("cat /proc/version", [
      {
        symbolName: "vfs_read",
        preHandler(_p, regs, k) {
          const item = (read: () => unknown): unknown => {
            let value: unknown = null;
            k.ksetjmp(() => void (value = read()));
            return value;
          };
          k.record({
            count: regs.rdx,
            file: item(() => typeof k.memory.uint64(regs.rdi)),
            nowhere: item(() => k.memory.string(8)),
            stack: item(() => typeof k.memory.uint64(regs.rsp)),
            odd: item(() => k.memory.uint64(0x8000_0000_0000_0000n)),
          });
        },
      },
    ]);
    assert.match(output, /^Linux version/);
    const records = printed.trimEnd().split("\n");
    assert.equal(records.length, probes[0]?.hits);
    assert.ok(records.length > 1);
    for (const line of records) {
      const record = JSON.parse(line) as Record<string, unknown>;
      assert.deepEqual(Object.keys(record), ["count", "file", "nowhere", "stack", "odd"]);
      assert.deepEqual(
        [record["file"], record["nowhere"], record["stack"], record["odd"]],
        ["bigint", null, "bigint", null],
      );
    }
  });

  test("[S6 pre kernel][S6 post kernel][S6 fault kernel][S3d pre kernel][S3d post kernel][S3d fault kernel] ksetjmp fences a bad string of the kernel in each phase; faults of the instruction and of handlers never meet", async () => {
    const jumped: Record<PhaseName, number> = { preHandler: 0, postHandler: 0, postFaultHandler: 0 };
    const handlerFaults: string[] = [];
    const faulty = inEachPhase((phase) => (_p, _regs, k) => {
      if (k.ksetjmp(() => void k.memory.string(8)) !== 0) jumped[phase]++;
      if (k.ksetjmp(() => k.klongjmp(7)) === 7) k.memory.uint8(8);
    });
    const { output, probes } = await probed(DD, [
      {
        ...faulty,
        faultHandler: (probe, fault) => {
          handlerFaults.push(`${probe.name} ${fault.reason}`);
        },
      },
      {
        ...where,
        postFaultHandler: (_p, _r, _k, fault) => {
          assert.equal(fault.name, "#PF");
        },
      },
    ]);
    assert.equal(output, bare);
    const [probe, other] = probes;
    assert.ok(probe !== undefined && other !== undefined);
    const { hits, completed, faulted, handlerFaults: cancelled, retries } = probe;
    assert.ok(faulted > 3, `faults: ${String(faulted)}`);
    assert.deepEqual(jumped, { preHandler: hits, postHandler: completed, postFaultHandler: faulted });
    // One for each handler that was called: instruction faults are none of them.
    assert.equal(cancelled, hits + completed + faulted);
    assert.equal(handlerFaults.length, cancelled);
    assert.deepEqual([...new Set(handlerFaults)], [`${probe.name} unmapped`]);
    assert.deepEqual([other.hits, other.faulted, other.handlerFaults], [hits, faulted, 0]);
    assert.equal(retries, faulted);
  });

  test("[S2 pre kernel][S2 post kernel] a faultHandler frees what the handler held, and says what faulted", async () => {
    let locked = 0;
    const messages = new Set<string>();
    const bug: Body = (_p, _regs, k) => {
      locked++;
      const unlock = k.hold("the lock", () => {
        locked--;
      });
      k.memory.string(0x10n);
      unlock();
    };
    const { output } = await probed(DD, [
      {
        ...where,
        maxcancelled: 0,
        preHandler: bug,
        postHandler: bug,
        faultHandler(_probe, fault, held) {
          assert.equal(locked, 0, "released before we are told");
          messages.add(`${fault.reason} at ${String(fault.address)}, held ${held.join(", ")}`);
        },
      },
    ]);
    assert.equal(output, bare);
    assert.deepEqual([...messages], ["unmapped at 16, held the lock"]);
  });

  test("[S10 pre kernel][S10 post kernel][S10 fault kernel][S3b post kernel][S3b fault kernel] however handlers end, the hit ends the same; one post-handler for both is told which", async () => {
    const endings: Record<string, Body> = {
      returns: () => undefined,
      faults: (_p, _regs, k) => void k.memory.uint8(8),
      errs: () => {
        throw new Error("a bug");
      },
    };
    const both = { completed: 0, faulted: 0 };
    const kprobes = Object.values(endings).map((ending) => inEachPhase(() => ending));
    const { output, probes } = await probed(DD, [
      ...kprobes,
      {
        ...where,
        postOn: "both",
        postHandler: (_p, _r, _k, hit) => {
          both[hit.fault === undefined ? "completed" : "faulted"]++;
        },
      },
      { ...where, preHandler: (probe) => void probe.unregister() },
    ]);
    assert.equal(output, bare);
    const books = probes
      .slice(0, 4)
      .map(({ hits, completed, faulted, abandoned, retries, nmissed }) => [
        hits,
        completed,
        faulted,
        abandoned,
        retries,
        nmissed,
      ]);
    const [first] = books;
    for (const each of books) assert.deepEqual(each, first);
    const [hits = 0, completed = 0, faulted = 0, abandoned = 0, retries] = first ?? [];
    assert.ok(faulted > 3);
    assert.deepEqual([hits, retries], [completed + faulted + abandoned, faulted]);
    // The machine clears pages of its own: at most one hit is under way when it is left.
    assert.ok(abandoned <= 1, `${String(abandoned)} abandoned`);
    assert.deepEqual(both, { completed, faulted });
    const unregistered = probes[4];
    assert.ok(unregistered !== undefined && unregistered.hits >= 1 && unregistered.hits <= hits);
  });

  test("[S7b pre kernel][S7b post kernel][S7b fault kernel] maxfault leaves a handler that recovers from faults by faults", async () => {
    let deepest = 0;
    const { output, probes } = await probed(DD, [
      {
        ...inEachPhase(() => (_p, _regs, k) => {
          function recover(depth: number): void {
            deepest = Math.max(deepest, depth);
            if (k.ksetjmp(() => k.memory.uint8(8)) !== 0) recover(depth + 1);
          }
          recover(0);
        }),
        maxfault: 7,
      },
    ]);
    assert.equal(output, bare);
    assert.equal(deepest, 7);
    const [probe] = probes;
    assert.ok(probe !== undefined && probe.faulted > 0);
    // All handlers of one hit together have seven.
    assert.equal(probe.fencedFaults, 7 * probe.hits);
  });

  test("places that take no probe are refused with a sentence; a probe that is registered while the machine runs is hit", async () => {
    const refused: string[] = [];
    await using target = await gdb({ connect: `unix:${machine.stub}`, kernel: machine.kernel });
    for (const kprobe of [
      { symbolName: "vfs_raed" },
      { symbolName: "asm_exc_page_fault" },
      { symbolName: "vfs_read", offset: 6 },
      { address: 0xffff_ffff_ffff_f000n },
    ]) {
      await target.registerKprobe(kprobe).then(
        () => refused.push("taken"),
        (error: unknown) => refused.push((error as Error).message),
      );
    }
    assert.match(
      refused[0] ?? "",
      /no function vfs_raed in the kernel and its modules: did you mean vfs_read\?/,
    );
    assert.match(refused[1] ?? "", /the kernel's own entry/);
    assert.match(refused[2] ?? "", /vfs_read\+0x6 is inside the instruction at vfs_read\+0x5/);
    assert.match(refused[3] ?? "", /no text of the kernel/);
    let hits = 0;
    await using probe = await target.registerKprobe({
      symbolName: "vfs_read",
      preHandler: () => (hits++, undefined),
    });
    const { output } = await machine.run("cat /proc/version");
    assert.match(output, /^Linux version/);
    assert.ok(hits > 0 && probe.hits >= hits);
  });
});

test(
  "lab() boots a machine that stands until it is told to go, and ends with its command",
  NEEDS_LAB,
  async () => {
    let printed = "";
    await using target = await lab({
      append: "nokaslr",
      command: "cat /proc/version >/dev/null; exit 3",
      write: (text) => (printed += text),
    });
    assert.ok(target.pid > 1);
    await using probe = await target.registerKprobe({
      symbolName: "do_sys_openat2",
      preHandler: (_p, regs, k) => {
        k.printf("%s\n", k.memory.string(regs.rsi));
      },
    });
    assert.deepEqual(await target.run(), { kind: "exited", status: 3 });
    assert.ok(probe.hits > 0);
    assert.match(printed, /^\/proc\/version$/m);
  },
);
