import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { Address } from "../../../src/base/address.js";
import { LinuxTarget } from "../../../src/targets/linux/target.js";
import type { SharedRegion } from "../../../src/targets/target.js";
import { compile, course, mainThread, symbol, testCompiled } from "./support.js";

/** Counts where it is told to, in a child too, and dies. */
const COUNTS = `
  #include <signal.h>
  #include <sys/wait.h>
  #include <unistd.h>
  volatile long *volatile place, *volatile second;
  __attribute__((noinline)) void begin(void) { __asm__ volatile(""); }
  int main(void) {
    begin();
    for (int i = 0; i < 1000; i++) ++*place;
    if (fork() == 0) {
      for (int i = 0; i < 500; i++) ++*second;
      _exit(0);
    }
    wait(0);
    raise(SIGKILL);
  }
`;

function begun(sharing: readonly ("mapped-files" | "descriptor")[]): {
  target: LinuxTarget;
  program: string;
} {
  const program = compile("counts-where-told", COUNTS);
  return { target: LinuxTarget.launch([program], { sharing }), program };
}

function share(target: LinuxTarget, near: Address, length: number): SharedRegion {
  const region = target.capabilities.shareNear?.(mainThread(target), near, length);
  assert.ok(region !== undefined);
  return region;
}

function write(target: LinuxTarget, at: Address, value: number): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  target.memory(target.spaceOf(mainThread(target))).write(at, bytes);
}

for (const way of ["mapped-files", "descriptor"] as const) {
  testCompiled(`a program and its children count in memory that is ours too, by ${way}`, async () => {
    const { target, program } = begun([way]);
    const thread = mainThread(target);
    const before = readdirSync(`/proc/${String(thread)}/fd`);
    const near = symbol(program, "main");
    using region = share(target, near, 100);
    const second = region.mapNear(thread, near);
    assert.equal(region.length, 4096);
    assert.ok(Math.abs(region.start - near) < 2 ** 31 && Math.abs(second - near) < 2 ** 31);
    assert.notEqual(second, region.start);
    assert.deepEqual(readdirSync(`/proc/${String(thread)}/fd`), before, "the program has no descriptor more");

    write(target, symbol(program, "place"), region.start);
    write(target, symbol(program, "second"), second + 8);
    const { ends } = course(target);
    assert.deepEqual([...ends.values()].map(({ kind }) => kind).sort(), ["exited", "killed"]);
    // The program is gone; what it counted is not.
    const counted = new BigInt64Array(region.bytes.buffer, region.bytes.byteOffset, 2);
    assert.deepEqual([...counted], [1000n, 500n]);
    await target[Symbol.asyncDispose]();
  });
}

testCompiled("what we write there the program reads", async () => {
  const { target, program } = begun(["mapped-files", "descriptor"]);
  using region = share(target, symbol(program, "main"), 4096);
  region.bytes[7] = 42;
  const read = new Uint8Array(8);
  target.memory(target.spaceOf(mainThread(target))).read(region.start, read);
  assert.equal(read[7], 42);
  const line = readFileSync(`/proc/${String(mainThread(target))}/maps`, "utf8")
    .split("\n")
    .find((each) => each.startsWith(region.start.toString(16).padStart(8, "0")));
  assert.match(line ?? "", /rw-s/, "never executable");
  await target[Symbol.asyncDispose]();
});
