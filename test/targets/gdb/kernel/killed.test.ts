// A tracer that is killed leaves its changes in the kernel; and a machine that has not booted yet.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { Address } from "../../../../src/base/address.js";
import { TargetError } from "../../../../src/base/errors.js";
import { KernelImage } from "../../../../src/symbols/kernel/image.js";
import { cleanKernel } from "../../../../src/targets/gdb/kernel/clean.js";
import { IDT } from "../../../../src/targets/gdb/kernel/slide.js";
import { KernelTarget } from "../../../../src/targets/gdb/kernel/target.js";
import { GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import { packagedKernel } from "../../../../src/targets/lab/kernel-package.js";
import { ProbeCore } from "../../../../src/probes/core.js";
import { NEEDS_LAB, bootedLab } from "../../../support/lab.js";
import { doing, imageOf, ProbedKernel } from "./probed-kernel.js";

const PROBED = ["vfs_read", "vfs_write", "uptime_proc_show", "ksys_read"];

test(
  "what a killed tracer left is taken out, by hand or by who comes next, and the machine runs on",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab();
    const image = imageOf(machine);
    const look = (): string[] => {
      const client = GdbClient.connect(`unix:${machine.stub}`);
      const read = (at: Address, length: number): string => {
        const bytes = new Uint8Array(length);
        assert.equal(client.readMemory(at, bytes), length);
        return Buffer.from(bytes).toString("hex");
      };
      const found = [
        ...PROBED.map((name) => read((image.symbol(name) ?? 0) as number as Address, 32)),
        read((image.symbol("__entry_text_start") ?? 0) as number as Address, 6000),
        read(IDT, 512),
      ];
      client.detach(1);
      client[Symbol.dispose]();
      return found;
    };
    /** As though it had been killed: the connection closes, at a moment when a processor has just hit a breakpoint. */
    const trace = async (): Promise<{ readonly ended: Promise<number> }> => {
      const kernel = new ProbedKernel(machine, image);
      for (const name of PROBED) kernel.probe(name, 5, { pre: doing(() => undefined) });
      await kernel.run("cat /proc/uptime >/dev/null");
      const loaded = await kernel.until(
        machine.load("cat /proc/uptime", { output: () => 0, error: () => 0 }),
      );
      loaded.start();
      for (;;) if (kernel.target.wait(performance.now() + 1000)?.kind === "breakpoint") break;
      kernel.target.client[Symbol.dispose]();
      return { ended: loaded.ended };
    };
    const before = look();
    const { ended } = await trace();
    const client = GdbClient.connect(`unix:${machine.stub}`);
    const found = cleanKernel(client, image);
    client.detach(1);
    client[Symbol.dispose]();
    assert.deepEqual(
      [...found.restored].sort((a, b) => a - b),
      PROBED.map((name) => (image.symbol(name) ?? 0) + 5).sort((a, b) => a - b),
    );
    assert.deepEqual(found.unclear, []);
    assert.ok(found.gates > 0);
    assert.equal(found.rewound, 1);
    const after = look();
    for (const [index, bytes] of before.entries())
      assert.ok(after[index] === bytes, `piece ${String(index)} is as it was`);
    // The command that was in the middle of it all.
    assert.equal(await ended, 0);
    assert.equal((await machine.run("cat /proc/uptime | wc -l; dmesg | grep -c int3:")).output, "1\n0\n");
  },
);

test("a tracer that comes after a killed one clears up and traces", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  const first = new ProbedKernel(machine);
  first.probe("vfs_read", 5, { pre: doing(() => undefined) });
  await first.run("true");
  first.target.client[Symbol.dispose]();
  await using kernel = new ProbedKernel(machine);
  const probe = kernel.probe("uptime_proc_show", 5, { pre: doing(() => undefined) });
  assert.equal((await kernel.run("cat /proc/uptime | wc -l; dmesg | grep -c int3:")).output, "1\n0\n");
  assert.equal(probe.hits, 1);
});

test(
  "a machine that stands before its first instruction is let boot, and then probed",
  NEEDS_LAB,
  async () => {
    const { image: path } = await packagedKernel(() => undefined);
    const folder = mkdtempSync(join(tmpdir(), "trapline-boot-"));
    const stub = join(folder, "gdb");
    const qemu = spawn(
      "qemu-system-x86_64",
      ["-nodefaults", "-display", "none", "-no-reboot", "-m", "256", "-S", "-kernel", path].concat([
        "-append",
        "panic=-1 quiet",
        "-gdb",
        `unix:${stub},server=on,wait=off`,
      ]),
      { stdio: "ignore" },
    );
    try {
      for (let tries = 0; !existsSync(stub) && tries < 100; tries++) await setTimeout(50);
      using image = KernelImage.open(path);
      await using target = KernelTarget.connect(`unix:${stub}`, image);
      const core = new ProbeCore(target, {
        probeDisarmed: () => undefined,
        handlerFailed: () => undefined,
        locationLost: () => undefined,
      });
      const names: string[] = [];
      const probe = core.register({
        name: "panic",
        pre: doing((hit) => names.push(hit.facts().name)),
      });
      core.arm(probe, target.space, ((image.symbol("panic") ?? 0) + target.slide + 5) as Address);
      const until = performance.now() + 120_000;
      while (names.length === 0 && performance.now() < until) {
        const stop = target.wait(until);
        if (stop !== undefined) core.handle(stop);
      }
      // It finds no root to mount.
      assert.deepEqual(names, ["swapper/0"]);
    } finally {
      const gone = once(qemu, "exit");
      qemu.kill("SIGKILL");
      await gone;
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test("another image than that of the running kernel is refused with a sentence", NEEDS_LAB, async () => {
  await using machine = await bootedLab();
  const wrong = Object.create(imageOf(machine), {
    banner: { value: "Linux version 5.0.0 (another)" },
  }) as KernelImage;
  assert.throws(
    () => KernelTarget.connect(`unix:${machine.stub}`, wrong),
    (error) => error instanceof TargetError && error.message.includes("is not that of"),
  );
});
