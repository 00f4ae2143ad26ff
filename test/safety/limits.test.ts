// Programs that leave no room for what displaced instructions need.
import assert from "node:assert/strict";
import { test } from "node:test";
import { attach } from "../../src/index.js";
import { PATIENT, until } from "../api/aside.js";
import { traceAside } from "../support/aside-tracer.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { startStopping } from "../support/stopped.js";

const GCC = needs("gcc");
/** A tracer that may not raise limits for good. */
const WITHOUT_RESOURCE =
  process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-all"] : [];

test(
  "at the limit of its address space a program is probed where that takes no memory, and the rest is given up by name",
  GCC,
  async () => {
    const { pid, ended } = await startStopping([target("limited")]);
    const symbols = ["needs_slot", "needs_none"];
    const tracer = traceAside({ attach: pid, symbols, plain: true }, WITHOUT_RESOURCE);
    await tracer.armed;
    process.kill(pid, "SIGCONT");
    const { probes } = await tracer.result;
    assert.equal(await ended, 7);
    const [slot, none] = probes;
    assert.match(
      slot?.disarmedBecause ?? "",
      /ENOMEM \(its address space is limited to \d+ bytes, RLIMIT_AS\)/,
    );
    assert.deepEqual(none, { hits: 10, completed: 10, disarmedBecause: null });
  },
);

test(
  "what stands where an unloaded library was is left as it is, also where it looks like a breakpoint",
  GCC,
  async () => {
    const { pid, ended } = await startStopping([
      target("limited"),
      "remap",
      target("plugin", "-shared", "-fPIC"),
    ]);
    {
      await using running = await attach({ pid, write: () => undefined, ...PATIENT });
      const probe = await running.registerKprobe({ symbolName: "plugin_work", preHandler: () => undefined });
      const over = await running.registerKprobe({ symbolName: "over", preHandler: () => undefined });
      process.kill(pid, "SIGCONT");
      const going = running.run();
      await until("something else is mapped", () => over.hits > 0);
      assert.equal(probe.hits, 1);
      void going;
    }
    process.kill(pid, "SIGUSR1");
    assert.equal(await ended, 7);
  },
);
