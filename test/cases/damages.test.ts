import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { attach, type Kprobe } from "../../src/index.js";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");
const ROUNDS = 5;

/** What the program damaged.c can do to itself, and how often `rdi` and the stack can then be read. */
const DAMAGES = {
  none: "nothing is damaged",
  stack: "the stack pointer points nowhere",
  thread: "the FS base is garbage",
  registers: "every register is garbage, the stack pointer too",
  heap: "the heap is overwritten",
  header: "the ELF headers in memory are overwritten",
  "address-space": "the address-space limit is reached",
  signals: "every signal is blocked",
} as const;

/** A kprobe with handlers that all have the same bug, and one of which nobody has. */
function buggy(told: string[]): Kprobe {
  const bug: NonNullable<Kprobe["preHandler"]> = (_p, regs, k) => {
    k.hold("a lock", () => told.push("released"));
    k.memory.string(regs.rdi);
    told.push("went on after the fault");
  };
  return {
    symbolName: "the_damage",
    preHandler: bug,
    postHandler: bug,
    faultHandler(_p, fault, held) {
      told.push(`${held.join()} at ${fault.address.toString(16)}`);
    },
  };
}

for (const [kind, what] of Object.entries(DAMAGES)) {
  test(
    `[S2 pre] [S2 post] handlers are cancelled quietly and the program goes on while ${what}`,
    GCC,
    async () => {
      const program = target("damaged");
      const bare = run(program, kind);
      assert.match(bare.stdout, new RegExp(`^${kind}: came through ${String(ROUNDS)} times(, no room)?\n$`));
      const told: string[] = [];
      let healthy = 0;
      const { output, status, probes } = await traced(
        [program, kind],
        [
          buggy(told),
          {
            symbolName: "the_damage",
            preHandler() {
              healthy++;
            },
          },
        ],
      );
      assert.equal(output, bare.stdout);
      assert.deepEqual(status, SUCCESS);
      assert.equal(healthy, ROUNDS, "the neighbour of a cancelled handler runs");
      const at = kind === "registers" ? "deadbeefdeadbeef" : "8";
      assert.deepEqual(
        told,
        Array.from({ length: 2 * ROUNDS }, () => ["released", `a lock at ${at}`]).flat(),
      );
      const [probe] = probes;
      assert.ok(probe !== undefined);
      const { hits, completed, handlerFaults, fencedFaults, errors } = probe;
      assert.deepEqual(
        { hits, completed, handlerFaults, fencedFaults, errors },
        { hits: ROUNDS, completed: ROUNDS, handlerFaults: 2 * ROUNDS, fencedFaults: 0, errors: [] },
      );
    },
  );
}

/** A copy of damaged.c's program that a test may destroy. */
function withCopy<T>(use: (copy: string, output: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-damages-"));
  const copy = join(folder, "damaged");
  copyFileSync(target("damaged"), copy);
  return use(copy, join(folder, "output")).finally(() => {
    rmSync(folder, { recursive: true });
  });
}

for (const [kind, what] of Object.entries({
  deleted: "whose file was deleted",
  header: "whose ELF headers were overwritten",
  "address-space": "at its address-space limit",
})) {
  test(`[S2 pre] a program ${what} is attached to, and probed by name`, GCC, async () => {
    await withCopy(async (copy, output) => {
      // Through a shell: what Node itself started, Node itself waits for, and would take our stops.
      const shell = spawn("sh", ["-c", '"$0" "$@" & echo $!; wait $!', copy, kind, "stop", `>${output}`], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = once(shell, "exit");
      const pid = Number(await once(shell.stdout, "data"));
      await stopped(pid);
      assert.equal(existsSync(copy), kind !== "deleted");
      const told: string[] = [];
      {
        await using running = await attach({ pid, write: () => undefined });
        const probe = await running.registerKprobe(buggy(told));
        process.kill(pid, "SIGCONT");
        await running.run();
        assert.deepEqual([probe.hits, probe.completed, probe.handlerFaults], [ROUNDS, ROUNDS, 2 * ROUNDS]);
      }
      assert.deepEqual(await ended, [0, null]);
      const room = kind === "address-space" ? ", no room" : "";
      assert.equal(readFileSync(output, "latin1"), `${kind}: came through ${String(ROUNDS)} times${room}\n`);
      assert.equal(told.length, 4 * ROUNDS);
    });
  });
}

/** Waits until a program has stopped itself. */
async function stopped(pid: number): Promise<void> {
  while (!/^State:\tT/m.test(readFileSync(`/proc/${String(pid)}/status`, "latin1"))) await setTimeout(5);
}

test("[S2 pre] a stripped program is probed by address", needs("gcc"), async () => {
  await withCopy(async (copy) => {
    const symbols = execFileSync("nm", [copy], { encoding: "latin1" });
    const address = /^([0-9a-f]+) . the_damage$/m.exec(symbols)?.[1];
    assert.ok(address !== undefined);
    execFileSync("strip", [copy]);
    const bare = run(copy, "none");
    const outcome = trapline(
      "-e",
      `global n probe process("${copy}").statement(0x${address}) { n++; user_int8(8) } probe end { println(n) }`,
      "-c",
      `${copy} none`,
    );
    assert.equal(printed(outcome, bare), `${String(ROUNDS)}\n`);
    assert.match(
      outcome.stderr,
      new RegExp(
        `^WARNING: probe .*: ${String(ROUNDS)} of ${String(ROUNDS)} hits cancelled by a handler fault; the first: read fault at 0x8.*\n$`,
      ),
    );
    assert.equal(outcome.status, 0);
    await assert.rejects(traced([copy, "none"], [{ symbolName: "the_damage" }]), /the_damage/);
  });
});
