// A thread under a seccomp filter is never made to do what its filter might kill it for.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { attach } from "../../src/index.js";
import { PATIENT, until } from "../api/aside.js";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

const WAYS = {
  kill: "a filter that kills the process for mmap",
  errno: "a filter that makes mmap fail",
  trap: "a filter that raises SIGSYS for mmap",
  strict: "strict mode",
} as const;

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

  test(`under ${what} that was there first a probe that needs a slot is given up by name`, GCC, async () => {
    const { pid, ended } = await startStopping([target("seccomp"), way, "early"]);
    process.kill(pid, "SIGCONT");
    await until("the filter is there", () => isRestricted(pid));
    {
      await using running = await attach({ pid, write: () => undefined, ...PATIENT });
      const probe = await running.registerKprobe({ symbolName: "needs_slot", preHandler: () => undefined });
      const going = running.run();
      await until("the probe is given up", () => probe.disarmedBecause !== undefined);
      assert.match(probe.disarmedBecause ?? "", /seccomp/);
      void going;
    }
    assert.equal(await ended, 7);
  });

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
