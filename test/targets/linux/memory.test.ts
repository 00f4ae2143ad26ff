import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { registerIndex } from "../../../src/arch/x86_64/registers.js";
import type { Address } from "../../../src/base/address.js";
import { MemoryFault, ProbeRefused } from "../../../src/base/errors.js";
import { SharedBytes } from "../../../src/targets/system-calls.js";
import { PTRACE, ptrace } from "../../../src/targets/linux/ptrace.js";
import type { LinuxTarget } from "../../../src/targets/linux/target.js";
import { CONTINUE, type Memory, type ThreadId } from "../../../src/targets/target.js";
import { INT3, compile, kill, launchTo, mainThread, symbol, temporary, testCompiled } from "./support.js";

const AREAS = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
char *data, *none, *readonly, *gap, *fresh, *file, *shared, *faulting, *writeonly;
long uffd_works;
__attribute__((noinline)) void ready(void) { __asm__ volatile("nop"); }
#define MAP(n, prot, flags, fd) mmap(0, (n) * 4096, prot, flags, fd, 0)
int main(int c, char **v) {
  data = MAP(4, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1); memset(data, 'd', 4 * 4096); strcpy(data + 4090, "across pages");
  none = MAP(1, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1); *none = 'n'; mprotect(none, 4096, PROT_NONE);
  readonly = MAP(1, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1); *readonly = 'r'; mprotect(readonly, 4096, PROT_READ);
  writeonly = MAP(1, 2, MAP_PRIVATE | MAP_ANONYMOUS, -1); *writeonly = 'w';
  fresh = MAP(600, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  int f = open(v[1], O_RDWR | O_CREAT | O_TRUNC, 0600); write(f, "content", 7);
  file = MAP(2, 1, MAP_PRIVATE, f); shared = MAP(1, 3, MAP_SHARED, f);
  int u = syscall(SYS_userfaultfd, O_CLOEXEC | 1);
  faulting = MAP(2, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (u >= 0) {
    struct uffdio_api api = {.api = UFFD_API}; ioctl(u, UFFDIO_API, &api);
    struct uffdio_register r = {.range = {(long)faulting, 2 * 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    uffd_works = ioctl(u, UFFDIO_REGISTER, &r) == 0;
    struct uffdio_zeropage z = {.range = {(long)faulting, 4096}}; ioctl(u, UFFDIO_ZEROPAGE, &z);
  }
  gap = data + 2 * 4096; munmap(gap, 4096);
  ready(); return 0;
}
`;

interface Areas {
  readonly target: LinuxTarget;
  readonly main: ThreadId;
  readonly memory: Memory;
  readonly file: string;
  readonly area: (name: string) => Address;
}

function areas(): Areas {
  const program = compile("areas", AREAS);
  const file = temporary("mapped");
  const target = launchTo("/dev/null", [program, file]);
  const main = mainThread(target);
  const memory = target.memory(target.spaceOf(main));
  memory.writeText(symbol(program, "ready"), INT3);
  target.resume(main, CONTINUE);
  const stop = target.wait(performance.now() + 5000);
  assert.equal(stop?.kind, "breakpoint");
  const area = (name: string): Address => {
    const bytes = Buffer.alloc(8);
    memory.read(symbol(program, name), bytes);
    return Number(bytes.readBigUInt64LE()) as Address;
  };
  return { target, main, memory, file, area };
}

const plus = (at: Address, n: number): Address => (at + n) as Address;

function faults(action: () => void, address: Address, access: string, reason: string): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof MemoryFault, String(error));
    assert.deepEqual(
      [error.address, error.access, error.reason],
      [BigInt.asUintN(64, BigInt(address)), access, reason],
    );
    return true;
  });
}

testCompiled("memory faults where the program's own loads and stores would, and nowhere else", async () => {
  const { target, main, memory, file, area } = areas();
  await using _ = target;
  const at = (name: string): Address => area(name);
  const read = (from: Address, length: number): string => {
    const bytes = new Uint8Array(length);
    memory.read(from, bytes);
    return Buffer.from(bytes).toString();
  };
  assert.equal(read(plus(at("data"), 4090), 12), "across pages");
  assert.equal(read(plus(at("data"), 3 * 4096), 1), "d");
  faults(() => read(plus(at("gap"), -3), 8), at("gap"), "read", "unmapped");
  assert.equal(memory.readSome(plus(at("gap"), -3), new Uint8Array(8)), 3);
  assert.equal(memory.readSome(at("gap"), new Uint8Array(8)), 0);
  faults(() => read(at("none"), 1), at("none"), "read", "no-access");
  assert.equal(read(at("readonly"), 1), "r");
  assert.equal(read(at("writeonly"), 1), "w");
  faults(() => memory.write(at("readonly"), Uint8Array.of(1)), at("readonly"), "write", "no-access");
  // Not resident yet: brought in. 600 pages: more than one turn.
  assert.equal(read(at("fresh"), 600 * 4096), "\0".repeat(600 * 4096));
  memory.write(plus(at("fresh"), 4094), Buffer.from("four"));
  assert.equal(read(plus(at("fresh"), 4094), 5), "four\0");
  assert.equal(read(at("file"), 8), "content\0");
  faults(() => read(plus(at("file"), 4090), 10), plus(at("file"), 4096), "read", "past-end-of-file");
  faults(() => read(0 as Address, 1), 0 as Address, "read", "unmapped");
  faults(() => read(-4096 as Address, 1), -4096 as Address, "read", "unmapped");
  faults(() => read((2 ** 47 - 4096) as Address, 1), (2 ** 47 - 4096) as Address, "read", "unmapped");
  faults(() => memory.writeText(at("gap"), INT3), at("gap"), "write", "unmapped");
  memory.writeText(at("readonly"), INT3);
  assert.equal(read(at("readonly"), 1), "\xcc".length === 1 ? Buffer.from([0xcc]).toString() : "");
  memory.read(at("data"), new Uint8Array(0));
  assert.throws(
    () => memory.writeText(at("shared"), INT3),
    (error) => error instanceof ProbeRefused && error.reason === "shared-mapping",
  );
  assert.equal(readFileSync(file, "utf8"), "content");
  kill(main);
});

testCompiled("a page behind a userfaultfd is a fault at once, never a wait", async (context) => {
  const { target, main, memory, area } = areas();
  await using _ = target;
  if (Number(area("uffd_works")) !== 1) {
    kill(main);
    context.skip("this kernel lets no program use userfaultfd");
    return;
  }
  const at = area("faulting");
  const before = performance.now();
  memory.read(at, new Uint8Array(4096));
  faults(() => memory.read(plus(at, 4090), new Uint8Array(10)), plus(at, 4096), "read", "userfaultfd");
  faults(() => memory.write(plus(at, 4096), Uint8Array.of(1)), plus(at, 4096), "write", "userfaultfd");
  assert.equal(memory.readSome(plus(at, 4090), new Uint8Array(10)), 6);
  assert.ok(performance.now() - before < 1000);
  kill(main);
});

testCompiled("memory is mapped near a place, executable, and given back", async () => {
  const { target, main, memory } = areas();
  await using _ = target;
  const before = readFileSync(`/proc/${main}/maps`, "utf8");
  const registers = [...target.registers(main).values];
  const { mapNear, unmap } = target.capabilities;
  assert.ok(mapNear !== undefined && unmap !== undefined);
  const places = target.mappings(target.spaceOf(main)).filter((m) => m.executable && m.start > 0);
  for (const near of places) {
    const slot = mapNear(main, near.start, 8192);
    assert.ok(Math.abs(slot - near.start) < 2 ** 31 - 8192);
    const mapping = target
      .mappings(target.spaceOf(main))
      .find((m) => m.start <= slot && m.end >= slot + 8192);
    assert.ok(mapping?.executable === true && mapping.readable && !mapping.writable && !mapping.shared);
    memory.writeText(slot, INT3);
    unmap(main, slot, 8192);
  }
  assert.equal(readFileSync(`/proc/${main}/maps`, "utf8"), before);
  assert.deepEqual([...target.registers(main).values], registers);
  kill(main);
});

testCompiled("a thread is where it is to go on, should we die, once memory was unmapped by it", async () => {
  const program = compile(
    "twice",
    `__attribute__((noinline)) void ready(void) { __asm__ volatile("nop"); }
     int main() { ready(); ready(); return 0; }`,
  );
  await using target = launchTo("/dev/null", [program]);
  const main = mainThread(target);
  const at = symbol(program, "ready");
  const { mapNear, unmap } = target.capabilities;
  assert.ok(mapNear !== undefined && unmap !== undefined);
  const memory = target.memory(target.spaceOf(main));
  const original = new Uint8Array(1);
  memory.read(at, original);
  const arrive = (): void => {
    memory.writeText(at, INT3);
    target.resume(main, CONTINUE);
    assert.equal(target.wait(performance.now() + 5000)?.kind, "breakpoint");
    memory.writeText(at, original);
    target.registers(main).pc = at;
  };
  arrive();
  const slot = mapNear(main, at, 4096);
  target.resume(main, { kind: "step" });
  assert.equal(target.wait(performance.now() + 5000)?.kind, "step");
  arrive();
  unmap(main, slot, 4096);
  const word = new SharedBytes(8);
  assert.equal(ptrace(PTRACE.PEEKUSER, main, 8 * registerIndex("rip"), word.address), 0);
  assert.equal(Number(word.view.getBigUint64(0, true)), at);
  kill(main);
});

testCompiled("a thread in strict mode (seccomp) is not made to map memory", async () => {
  const program = compile(
    "seccomp",
    `#include <linux/filter.h>
     #include <linux/seccomp.h>
     #include <sys/prctl.h>
     __attribute__((noinline)) void ready(void) { __asm__ volatile("nop"); }
     int main() { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); ready(); return 0; }`,
  );
  await using target = launchTo("/dev/null", [program]);
  const main = mainThread(target);
  target.memory(target.spaceOf(main)).writeText(symbol(program, "ready"), INT3);
  target.resume(main, CONTINUE);
  assert.equal(target.wait(performance.now() + 5000)?.kind, "breakpoint");
  assert.throws(
    () => target.capabilities.mapNear?.(main, symbol(program, "ready"), 4096),
    (error) => error instanceof ProbeRefused && error.reason === "seccomp",
  );
  kill(main);
});

testCompiled(
  "signals that arrive while memory is mapped are delivered afterwards, details and all",
  async () => {
    const program = compile(
      "during",
      `#include <signal.h>
     #include <stdio.h>
     #include <string.h>
     volatile int alarms, values;
     __attribute__((noinline)) void ready(void) { __asm__ volatile("nop"); }
     void on(int s, siginfo_t *i, void *u) { alarms++; values += i->si_value.sival_int; }
     int main() { struct sigaction a; memset(&a, 0, sizeof a); a.sa_sigaction = on; a.sa_flags = SA_SIGINFO;
       sigaction(SIGRTMIN, &a, 0); ready(); ready(); printf("%d %d\\n", alarms, values); return 0; }`,
    );
    const file = temporary("during.out");
    await using target = launchTo(file, [program]);
    const main = mainThread(target);
    const at = symbol(program, "ready");
    const memory = target.memory(target.spaceOf(main));
    const original = new Uint8Array(1);
    memory.read(at, original);
    memory.writeText(at, INT3);
    target.resume(main, CONTINUE);
    assert.equal(target.wait(performance.now() + 5000)?.kind, "breakpoint");
    memory.writeText(at, original);
    target.registers(main).pc = at;
    const { execFileSync } = await import("node:child_process");
    execFileSync("/bin/sh", [
      "-c",
      `kill -s STOP ${main}; env kill -q 20 -s RTMIN ${main}; env kill -q 22 -s RTMIN ${main}`,
    ]);
    const slot = target.capabilities.mapNear?.(main, at, 4096);
    assert.ok(slot !== undefined);
    target.resume(main, CONTINUE);
    let signals = 0;
    for (;;) {
      const stop = target.wait(performance.now() + 300);
      if (stop === undefined) break;
      assert.equal(stop.kind, "signal");
      signals++;
      target.resume(main, { kind: "deliver" });
    }
    assert.equal(signals >= 1, true);
    assert.match(readFileSync(`/proc/${main}/stat`, "utf8"), /\) t /);
    kill(main, "SIGCONT");
    for (;;) {
      const stop = target.wait(performance.now() + 2000);
      assert.ok(stop !== undefined);
      if (stop.kind === "thread-gone") break;
      target.resume(main, stop.kind === "signal" ? { kind: "deliver" } : CONTINUE);
    }
    assert.equal(readFileSync(file, "utf8"), "2 42\n");
  },
);
