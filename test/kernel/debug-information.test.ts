// Debug information of a kernel that runs: found by its build-id, and true of registers and stacks.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { KernelImage } from "../../src/symbols/kernel/image.js";
import type { LabMachine } from "../../src/targets/lab/machine.js";
import { bootedLab, NEEDS_LAB } from "../support/lab.js";
import { needs } from "../support/needs.js";
import { makeDebugInformation } from "./made-debug-information.js";
import { session } from "./machine.js";

const SKIP = NEEDS_LAB.skip !== false ? NEEDS_LAB : needs("gcc");

describe("variables inside of functions, on a kernel", { concurrency: false, ...SKIP }, () => {
  const folder = mkdtempSync(join(tmpdir(), "trapline-debug-"));
  let machine: LabMachine;
  /** The image that it was booted from, beside a vmlinux of its build-id. */
  let described: Pick<LabMachine, "stub" | "kernel" | "load">;

  before(async () => {
    machine = await bootedLab({ kaslr: true });
    const kernel = join(folder, "vmlinuz");
    symlinkSync(machine.kernel, kernel);
    using image = KernelImage.open(machine.kernel);
    const [read] = image.functions("vfs_read");
    assert.ok(read !== undefined && image.elf.buildId !== undefined);
    const limit = image.symbol("sysctl_nr_open_min");
    assert.ok(limit !== undefined);
    makeDebugInformation(folder, image.elf.buildId, read, { name: "sysctl_nr_open_min", vaddr: limit });
    described = { stub: machine.stub, kernel, load: (...words) => machine.load(...words) };
  });
  after(async () => {
    await machine.end();
    rmSync(folder, { recursive: true, force: true });
  });

  const READS = "head -c 700 /dev/zero > /tmp/wanted; dd if=/tmp/wanted bs=512 of=/dev/null 2>/dev/null";

  test("registers, memory, pieces and frames are where debug information says, and types are completed by BTF", async () => {
    const script = `
      probe kernel.statement("vfs_read+0x5") {
        if (execname() != "dd") next
        if (kernel_string($file->f_path->dentry->d_name->name) == "wanted")
          printf("%d at %d, pair %d %d, called by %s, the same %d %d\\n", $count, $place, $pair->first, $pair->second,
            substr(symname($caller), 0, 9), $slot == $caller, kernel_long(&$slot) == $caller)
      }`;
    const { stdout, stderr, status } = await session(described, script, READS);
    assert.equal(status, 0, stderr);
    assert.deepEqual(
      stdout.trimEnd().split("\n"),
      [
        "512 at 0, pair 512 7, called by ksys_read, the same 1 1",
        "512 at 512, pair 512 7, called by ksys_read, the same 1 1",
        "512 at 700, pair 512 7, called by ksys_read, the same 1 1",
      ],
      stderr,
    );
  });

  test("a variable of the kernel has its type from debug information, and lies where the kernel was loaded", async () => {
    // fs/file.c: the bits of a word.
    const script = `global n probe kernel.function("vfs_read") { if (n++ == 0) println(@var("sysctl_nr_open_min")) }`;
    const { stdout, stderr } = await session(described, script, READS);
    assert.equal(stdout, "64\n", stderr);
  });

  test("a variable that is not there at that instruction is refused, with those that are", async () => {
    const script = `probe kernel.statement("vfs_read+0x5") { println($later) }`;
    const { status, stderr } = await session(described, script, "true");
    assert.equal(status, 1);
    assert.match(stderr, /'\$later' of vfs_read is not available there: the compiler keeps it elsewhere/);
    assert.match(stderr, /available there: \$file, \$count, \$place, \$slot, \$pair, \$caller/);
  });

  test("without debug information of that very build, the reason is told", async () => {
    const script = `probe kernel.statement("vfs_read+0x5") { println($count) }`;
    const { status, stderr } = await session(machine, script, "true");
    assert.equal(status, 1);
    assert.match(
      stderr,
      /only debug information \(DWARF\) tells where it is, and there is none of this code/,
    );
  });
});
