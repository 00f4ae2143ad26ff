import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Address, offsetBy } from "../../../src/base/address.js";
import type { LinuxTarget } from "../../../src/targets/linux/target.js";
import { CONTINUE, type SignalInfo, type Stop, type ThreadId } from "../../../src/targets/target.js";
import { INT3, compile, course, launchTo, mainThread, symbol, temporary, testCompiled } from "./support.js";

const HEAD = `
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
static void catching(int s, void (*f)(int, siginfo_t *, void *), int flags) {
  struct sigaction a; memset(&a, 0, sizeof a); a.sa_sigaction = f; a.sa_flags = SA_SIGINFO | flags; sigaction(s, &a, 0);
}
`;

const signalsOf = (stops: readonly Stop[]): SignalInfo[] =>
  stops.flatMap((stop) => (stop.kind === "signal" ? [stop.signal] : []));

testCompiled("signals carry who raised them: the instruction, the kernel, or somebody else", () => {
  const file = temporary("raised.out");
  const program = compile(
    "raised",
    `${HEAD}
     void on(int s, siginfo_t *i, void *u) { printf("%d %d %p\\n", s, i->si_code, s == SIGSEGV ? i->si_addr : 0); fflush(stdout);
       greg_t *r = ((ucontext_t *)u)->uc_mcontext.gregs; if (s == SIGSEGV && i->si_code > 0) r[REG_RIP] += 2;
       /* int1, on machines that leave the program counter at it. */ if (s == SIGTRAP && i->si_code == 1 && *(unsigned char *)r[REG_RIP] == 0xf1) r[REG_RIP] += 1; }
     int main() { int s[] = {SIGSEGV, SIGUSR1, SIGTRAP, SIGRTMIN + 3, SIGPIPE}; for (int i = 0; i < 5; i++) catching(s[i], on, 0);
       __asm__ volatile("mov $8, %%rax; .byte 0x8b, 0x00" ::: "rax");
       kill(getpid(), SIGSEGV); raise(SIGUSR1); kill(getpid(), SIGTRAP); raise(SIGRTMIN + 3); __asm__ volatile("int3"); __asm__ volatile("int $3"); __asm__ volatile(".byte 0xf1");
       puts("end"); return 0; }`,
  );
  const target = launchTo(file, [program]);
  const { stops } = course(target, (stop) => (stop.kind === "breakpoint" ? { kind: "deliver" } : undefined));
  assert.deepEqual(
    signalsOf(stops).map((s) => [s.name, s.code, s.synchronous, s.address !== undefined]),
    [
      ["SIGSEGV", 1, true, true],
      ["SIGSEGV", 0, false, false],
      ["SIGUSR1", -6, false, false],
      ["SIGTRAP", 0, false, false],
      ["SIGRTMIN+3", -6, false, false],
      ["SIGTRAP", 1, true, true],
    ],
  );
  assert.equal(signalsOf(stops)[0]?.address, 8n);
  assert.equal(stops.filter((stop) => stop.kind === "breakpoint").length, 2);
  assert.equal(
    readFileSync(file, "utf8"),
    [
      "11 1 0x8",
      "11 0 (nil)",
      "10 -6 (nil)",
      "5 0 (nil)",
      "37 -6 (nil)",
      "5 128 (nil)",
      "5 128 (nil)",
      "5 1 (nil)",
      "end",
      "",
    ]
      .join("\n")
      .replace("11 0 (nil)", /^11 0 .*$/m.exec(readFileSync(file, "utf8"))?.[0] ?? "none"),
  );
  void target[Symbol.asyncDispose]();
});

testCompiled("a signal is delivered with the address and registers that were put in its place", () => {
  const file = temporary("address.out");
  const program = compile(
    "address",
    `${HEAD}
     void on(int s, siginfo_t *i, void *u) { printf("%p %llx\\n", i->si_addr, ((ucontext_t *)u)->uc_mcontext.gregs[REG_R12]); fflush(stdout); _exit(6); }
     int main() { catching(SIGSEGV, on, 0); *(volatile int *)16 = 1; return 0; }`,
  );
  const target = launchTo(file, [program]);
  const { ends } = course(target, (stop) => {
    if (stop.kind !== "signal") return undefined;
    target.registers(stop.thread).write("r12", 0xabcdefn);
    return { kind: "deliver", address: 0x7ffff0001234n };
  });
  assert.equal(readFileSync(file, "utf8"), "0x7ffff0001234 abcdef\n");
  assert.deepEqual([...ends.values()], [{ kind: "exited", status: 6 }]);
  void target[Symbol.asyncDispose]();
});

testCompiled("a death by a signal is told, as is a fault that nobody catches", () => {
  const target = launchTo("/dev/null", [compile("dies", "int main() { *(volatile int *)0 = 1; }")]);
  const main = mainThread(target);
  const { ends } = course(target);
  const end = ends.get(main);
  assert.ok(end?.kind === "killed" && end.signal === "SIGSEGV");
  void target[Symbol.asyncDispose]();
});

testCompiled("stepping executes one instruction at a time", async () => {
  const program = compile(
    "steps",
    '__attribute__((noinline)) void at(void) { __asm__ volatile("nop; nop; nop"); } int main() { at(); return 0; }',
  );
  await using target = launchTo("/dev/null", [program]);
  const main = mainThread(target);
  const at = symbol(program, "at");
  const memory = target.memory(target.spaceOf(main));
  const original = new Uint8Array(1);
  memory.read(at, original);
  memory.writeText(at, INT3);
  target.resume(main, CONTINUE);
  assert.equal(target.wait(performance.now() + 5000)?.kind, "breakpoint");
  memory.writeText(at, original);
  target.registers(main).pc = at;
  for (let i = 1; i <= 3; i++) {
    target.resume(main, { kind: "step" });
    assert.deepEqual(target.wait(performance.now() + 5000), { kind: "step", thread: main });
    assert.equal(target.registers(main).pc, at + i);
  }
  course(target);
});

/** Puts a breakpoint on `load`, the faulting instruction, and follows arrivals there. */
function arrivals(
  target: LinuxTarget,
  at: Address,
): { kinds: string[]; ends: ReturnType<typeof course>["ends"] } {
  const main = mainThread(target);
  const memory = target.memory(target.spaceOf(main));
  const original = new Uint8Array(1);
  memory.read(at, original);
  memory.writeText(at, INT3);
  const seen: string[] = [];
  let token = 0;
  let stepping: ThreadId | undefined;
  const { ends } = course(target, (stop) => {
    if (stop.kind === "breakpoint" && stop.at === at) {
      seen.push(stop.returned === 0 ? "hit" : `returned ${stop.returned}`);
      memory.writeText(at, original);
      target.registers(stop.thread).pc = at;
      stepping = stop.thread;
      return { kind: "step" };
    }
    if (stop.kind === "step" || (stop.kind === "signal" && stepping === stop.thread)) {
      stepping = undefined;
      memory.writeText(at, INT3);
      if (stop.kind === "step") {
        seen.push("done");
        return CONTINUE;
      }
      seen.push(stop.signal.name);
      assert.equal(target.registers(stop.thread).pc, at);
      return { kind: "deliver", watch: ++token };
    }
    return undefined;
  });
  void target[Symbol.asyncDispose]();
  return { kinds: seen, ends };
}

const LOAD = `__asm__(".globl load\\nload: .globl point\\npoint: mov (%rdi), %eax\\nret"); int load(void *);`;

const RETRY = (flags: string, body: string): string => `${HEAD} ${LOAD}
  char *page; int faults;
  void on(int s, siginfo_t *i, void *u) { ${body} }
  int main() { page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static char other[65536]; stack_t st = {.ss_sp = other, .ss_size = sizeof other}; sigaltstack(&st, 0);
    catching(SIGSEGV, on, ${flags});
    for (int i = 0; i < 3; i++) { load(page); mprotect(page, 4096, PROT_NONE); }
    printf("%d\\n", faults); return 0; }`;

for (const [name, flags] of [
  ["the interrupted stack", "0"],
  ["an alternate stack", "SA_ONSTACK"],
] as const)
  testCompiled(`a return from a handler on ${name} to the faulting instruction is recognised`, () => {
    const file = temporary("retry.out");
    const program = compile(
      `retry${flags}`,
      RETRY(flags, "faults++; getppid(); mprotect(page, 4096, PROT_READ);"),
    );
    const result = arrivals(launchTo(file, [program]), symbol(program, "point"));
    assert.deepEqual(
      result.kinds,
      [1, 2, 3].flatMap((n) => ["hit", "SIGSEGV", `returned ${n}`, "done"]),
    );
    assert.equal(readFileSync(file, "utf8"), "3\n");
  });

testCompiled("a handler left by siglongjmp has not returned: the next arrival is a hit", () => {
  const file = temporary("jump.out");
  const program = compile(
    "jump",
    `${HEAD} ${LOAD} sigjmp_buf back; int faults;
     void on(int s, siginfo_t *i, void *u) { faults++; siglongjmp(back, 1); }
     int main() { catching(SIGSEGV, on, 0);
       for (volatile int i = 0; i < 4; i++) if (sigsetjmp(back, 1) == 0) load((void *)8);
       int ok = 5; load(&ok); printf("%d\\n", faults); return 0; }`,
  );
  const result = arrivals(launchTo(file, [program]), symbol(program, "point"));
  assert.deepEqual(result.kinds, [...[1, 2, 3, 4].flatMap(() => ["hit", "SIGSEGV"]), "hit", "done"]);
  assert.equal(readFileSync(file, "utf8"), "4\n");
});

testCompiled("a fault within the handler of a fault: each return finds its own", () => {
  const file = temporary("nested.out");
  const program = compile(
    "nested",
    `${HEAD} ${LOAD} char *pages; int depth;
     void on(int s, siginfo_t *i, void *u) { char *p = (char *)((long)i->si_addr & ~4095L);
       if (p == pages) load(pages + 4096);
       mprotect(p, 4096, PROT_READ); }
     int main() { pages = mmap(0, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       catching(SIGSEGV, on, SA_NODEFER); load(pages); puts("end"); return 0; }`,
  );
  const result = arrivals(launchTo(file, [program]), symbol(program, "point"));
  assert.deepEqual(result.kinds, [
    "hit",
    "SIGSEGV",
    "hit",
    "SIGSEGV",
    "returned 2",
    "done",
    "returned 1",
    "done",
  ]);
  assert.equal(readFileSync(file, "utf8"), "end\n");
});

testCompiled("a handler that skips the instruction has returned elsewhere", () => {
  const program = compile(
    "skip",
    `${HEAD} ${LOAD}
     void on(int s, siginfo_t *i, void *u) { ((ucontext_t *)u)->uc_mcontext.gregs[REG_RIP] += 2; }
     int main() { catching(SIGSEGV, on, 0); load((void *)8); int ok = 1; load(&ok); return 0; }`,
  );
  const result = arrivals(launchTo("/dev/null", [program]), symbol(program, "point"));
  assert.deepEqual(result.kinds, ["hit", "SIGSEGV", "hit", "done"]);
});

testCompiled("only a signal that is caught is watched: a default one ends the program", () => {
  const program = compile("uncaught", `${HEAD} ${LOAD} int main() { load((void *)8); return 0; }`);
  const at = symbol(program, "point");
  const result = arrivals(launchTo("/dev/null", [program]), at);
  assert.deepEqual(result.kinds, ["hit", "SIGSEGV"]);
  assert.equal([...result.ends.values()][0]?.kind, "killed");
  assert.equal(offsetBy(at, 0), at);
});

for (const [name, until] of [
  ["SIGUSR1", "ignored"],
  ["SIGTSTP", "that stops the program"],
] as const) {
  testCompiled(`a signal ${until} does not lose the step that it came into`, () => {
    const program = compile(
      "stepped-over",
      `${HEAD}
       __attribute__((noinline)) int f(int x) { __asm__ volatile("nop; nop" : "+r"(x)); return x; }
       int main() { signal(SIGUSR1, SIG_IGN); return f(0); }`,
    );
    const at = symbol(program, "f");
    const target = launchTo(temporary("stepped-over.out"), [program]);
    const thread = mainThread(target);
    const space = target.memory(target.spaceOf(thread));
    const original = new Uint8Array(1);
    space.read(at, original);
    space.writeText(at, INT3);
    const kinds: string[] = [];
    const { ends } = course(target, (stop) => {
      if (stop.kind !== "thread-gone" && stop.kind !== "thread-exiting") kinds.push(stop.kind);
      if (stop.kind === "breakpoint") {
        space.writeText(at, original);
        target.registers(thread).pc = at;
        process.kill(thread, name);
        return { kind: "step" };
      }
      if (stop.kind !== "signal") return undefined;
      if (name === "SIGTSTP" && stop.signal.name === name) process.kill(thread, "SIGCONT");
      return { kind: "deliver" };
    });
    assert.deepEqual(
      kinds.filter((kind) => kind !== "signal"),
      ["breakpoint", "step"],
    );
    assert.ok(kinds.includes("signal"));
    assert.deepEqual([...ends.values()], [{ kind: "exited", status: 0 }]);
  });
}
