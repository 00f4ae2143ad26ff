// A thread under a seccomp filter is never made to do what its filter might kill it for.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { attach } from "../../src/index.js";
import { PATIENT, until } from "../api/aside.js";
import { traceAside, WITHOUT_SYS_ADMIN } from "../support/aside-tracer.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");
/** As root the tests run a tracer without the privileges that filters take; as anybody else, themselves. */
const ROOT = process.getuid?.() === 0;
const UNPRIVILEGED = ROOT ? WITHOUT_SYS_ADMIN : [];
const PRIVILEGED = GCC.skip === false && !ROOT ? { skip: "needs CAP_SYS_ADMIN: run it as root" } : GCC;

const WAYS = {
  kill: "a filter that kills the process for mmap",
  errno: "a filter that makes mmap fail",
  trap: "a filter that raises SIGSYS for mmap",
  strict: "strict mode",
} as const;

/** Those that let it be said beforehand what they would do: all but the one that is none. */
const FILTERS = { ...WAYS, allow: "a filter that allows everything" } as const;

const isRestricted = (pid: number): boolean =>
  !/^Seccomp:\t0/m.test(readFileSync(`/proc/${String(pid)}/status`, "latin1"));

for (const [way, what] of Object.entries(WAYS)) {
  test(`under ${what} a launched program is probed in slots that were mapped before`, GCC, async () => {
    const program = target("seccomp");
    const bare = run(program, way);
    assert.equal(bare.stdout, "through 5 times\n");
    const { output, status, probes } = await traced(
      [program, way],
      [{ symbolName: "needs_slot", preHandler: () => undefined, postHandler: () => undefined }],
    );
    assert.equal(output, bare.stdout);
    assert.deepEqual(status, SUCCESS);
    assert.equal(probes[0]?.completed, 5);
  });

  test(
    `under ${what} that was there first a tracer that cannot read it gives the probe up by name`,
    GCC,
    async () => {
      const { pid, ended } = await startFiltered(way);
      const tracer = traceAside({ attach: pid, symbols: ["needs_slot"] }, UNPRIVILEGED);
      const { probes } = await tracer.result;
      const why = way === "strict" ? /strict mode/ : /seccomp filter, which cannot be read \(.*CAP_SYS_ADMIN/;
      assert.match(probes[0]?.disarmedBecause ?? "", why);
      assert.equal(await ended, 7);
    },
  );

  test(`under ${what} that came after the slot the program is left whole`, GCC, async () => {
    const { pid, ended } = await startStopping([target("seccomp"), way, "late"]);
    {
      await using running = await attach({ pid, write: () => undefined, ...PATIENT });
      const probe = await running.registerKprobe({ symbolName: "needs_slot", preHandler: () => undefined });
      process.kill(pid, "SIGCONT");
      const going = running.run();
      await until("the filter is there", () => isRestricted(pid));
      assert.ok(probe.hits > 0);
      void going;
    }
    assert.equal(await ended, 7);
  });
}

for (const [way, what] of Object.entries(FILTERS)) {
  if (way === "strict") continue;
  test(`under ${what} that was there first a privileged tracer probes all the same`, PRIVILEGED, async () => {
    const { pid, ended } = await startFiltered(way);
    const tracer = traceAside({ attach: pid, symbols: ["needs_slot"] });
    const { probes } = await tracer.result;
    assert.equal(probes[0]?.disarmedBecause, null);
    assert.ok(probes[0].completed > 100);
    assert.equal(await ended, 7);
  });

  test(`under ${what} that was there first the program outlives its tracer`, PRIVILEGED, async () => {
    const { pid, ended } = await startFiltered(way);
    const tracer = traceAside({ attach: pid, symbols: ["needs_slot"] });
    await tracer.armed;
    process.kill(tracer.pid, "SIGKILL");
    assert.equal(await ended, 7);
  });
}

test("in strict mode a privileged tracer injects nothing either", PRIVILEGED, async () => {
  const { pid, ended } = await startFiltered("strict");
  const tracer = traceAside({ attach: pid, symbols: ["needs_slot"] });
  const { probes } = await tracer.result;
  assert.match(probes[0]?.disarmedBecause ?? "", /strict mode/);
  assert.equal(await ended, 7);
});

test("what a thread's filter forbids another thread does that has none", GCC, async () => {
  const { pid, ended } = await startStopping([target("filtered-thread")]);
  const tracer = traceAside({ attach: pid, symbols: ["needs_slot"] }, UNPRIVILEGED);
  await tracer.armed;
  process.kill(pid, "SIGCONT");
  const { probes } = await tracer.result;
  assert.equal(probes[0]?.disarmedBecause, null);
  assert.equal(probes[0].completed, 1000);
  assert.equal(await ended, 7);
});

/** Started, and under its filter: it goes on, into what is probed. */
async function startFiltered(way: string): Promise<{ pid: number; ended: Promise<number | null> }> {
  const program = await startStopping([target("seccomp"), way, "early"]);
  process.kill(program.pid, "SIGCONT");
  await until("the filter is there", () => isRestricted(program.pid));
  return program;
}
