// Threads that cannot be stopped, and for how long nobody knows: those of a frozen control group (cgroups(7)).
// The old freezer has them sleep uninterruptibly (state D), the new one has not.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { attach } from "../../src/index.js";
import { type Aside, isFree, PATIENT, STEADY, startSteady, textOf, until } from "../api/aside.js";
import { needs } from "../support/needs.js";

interface Freezer {
  readonly what: string;
  readonly root: string;
  readonly file: string;
  readonly freeze: string;
  readonly thaw: string;
  /** What {@link stateFile} then has. */
  readonly stateFile: string;
  readonly frozen: RegExp;
}

const FREEZERS: readonly Freezer[] = [
  {
    what: "sleeps uninterruptibly",
    root: "/sys/fs/cgroup/freezer",
    ...{ file: "freezer.state", freeze: "FROZEN", thaw: "THAWED" },
    ...{ stateFile: "freezer.state", frozen: /^FROZEN$/m },
  },
  {
    what: "is kept from running",
    root: existsSync("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup",
    ...{ file: "cgroup.freeze", freeze: "1", thaw: "0" },
    ...{ stateFile: "cgroup.events", frozen: /^frozen 1$/m },
  },
];

const GCC = needs("gcc");
const THREADS = 6;
/** Each wait for threads that do not stop is bounded by a second; milliseconds, on a busy machine. */
const BOUND = 10_000;

/** A control group of our own. */
class Group {
  private readonly folder: string;

  /** @throws Error it cannot be made: not root, or no such controller */
  constructor(private readonly freezer: Freezer) {
    this.folder = `${freezer.root}/trapline-test-${String(process.pid)}`;
    mkdirSync(this.folder);
    if (!existsSync(`${this.folder}/${freezer.file}`)) {
      rmdirSync(this.folder);
      throw new Error(`${freezer.root} has no freezer`);
    }
  }

  take(pid: number): void {
    writeFileSync(`${this.folder}/cgroup.procs`, String(pid));
  }

  async freeze(): Promise<void> {
    const { file, freeze, stateFile, frozen } = this.freezer;
    writeFileSync(`${this.folder}/${file}`, freeze);
    await until("it is frozen", () => frozen.test(readFileSync(`${this.folder}/${stateFile}`, "latin1")));
  }

  thaw(): void {
    writeFileSync(`${this.folder}/${this.freezer.file}`, this.freezer.thaw);
  }

  async remove(): Promise<void> {
    this.thaw();
    await until("its last process is gone", () => {
      try {
        rmdirSync(this.folder);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
        return false;
      }
    });
  }
}

function possible(freezer: Freezer): { readonly skip: string | false } {
  if (GCC.skip !== false) return GCC;
  try {
    void new Group(freezer).remove();
    return { skip: false };
  } catch (error) {
    return { skip: `needs a control group that may be frozen: ${String(error)}` };
  }
}

/** Runs a test on a program in a group. */
async function withProgram(
  freezer: Freezer,
  body: (program: Aside, group: Group) => Promise<void>,
): Promise<void> {
  const group = new Group(freezer);
  const program = await startSteady(THREADS);
  let outcome: unknown;
  try {
    group.take(program.pid);
    await body(program, group);
  } finally {
    group.thaw();
    outcome = await program.end();
    await group.remove();
  }
  assert.deepEqual(outcome, STEADY);
}

for (const freezer of FREEZERS) {
  const options = possible(freezer);

  test(
    `a traced program that ${freezer.what} is let go in bounded time, and goes on afterwards`,
    options,
    async () => {
      await withProgram(freezer, async ({ pid }, group) => {
        const text = textOf(pid);
        const began: number[] = [];
        {
          await using running = await attach({ pid, ...PATIENT });
          const probe = await running.registerKprobe({
            symbolName: "the_beat",
            postHandler: () => undefined,
          });
          await until("it is hit", () => probe.hits > 100);
          await group.freeze();
          began.push(performance.now());
        }
        const took = performance.now() - (began[0] ?? NaN);
        assert.ok(took < BOUND, `${String(took)} ms`);
        assert.equal(textOf(pid), text);
        group.thaw();
        await until("all threads are free", () => isFree(pid));
      });
    },
  );

  test(
    `a program that ${freezer.what} is attached to in bounded time, and probed once it runs`,
    options,
    async () => {
      await withProgram(freezer, async ({ pid }, group) => {
        const text = textOf(pid);
        await group.freeze();
        {
          const began = performance.now();
          await using running = await attach({ pid, ...PATIENT });
          const probe = await running.registerKprobe({
            symbolName: "the_beat",
            postHandler: () => undefined,
          });
          assert.ok(performance.now() - began < BOUND, `${String(performance.now() - began)} ms`);
          assert.equal(probe.hits, 0);
          group.thaw();
          await until("it is hit", () => probe.hits > 100);
        }
        await until("all threads are free", () => isFree(pid));
        assert.equal(textOf(pid), text);
      });
    },
  );
}
