import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { TargetError } from "../../../src/base/errors.js";
import { LinuxTarget } from "../../../src/targets/linux/target.js";
import { CONTINUE, type ThreadId } from "../../../src/targets/target.js";
import {
  INT3,
  background,
  compile,
  kill,
  launchTo,
  mainThread,
  symbol,
  temporary,
  testCompiled,
  until,
} from "./support.js";

/** Four threads that count; SIGUSR1 makes them print what they counted. */
const COUNTERS = `
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
volatile long counts[4]; volatile int over;
__attribute__((noinline)) void tick(long *c) { __asm__ volatile("nop"); ++*c; }
void *work(void *c) { while (!over) { tick(c); usleep(500); } return 0; }
void finish(int s) { over = 1; }
int main() {
  pthread_t t[4]; signal(SIGUSR1, finish);
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, work, (void *)&counts[i]);
  puts("ready"); fflush(stdout);
  for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
  for (int i = 0; i < 4; i++) printf("%s\\n", counts[i] > 0 ? "counted" : "nothing");
  return 0;
}
`;

const field = (pid: number, name: string): string =>
  new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";

testCompiled("all threads of a running process are attached to, hit, and let go", async () => {
  const program = compile("counters", COUNTERS);
  const at = symbol(program, "tick");
  const running = background([program]);
  try {
    until("ready", () => running.output().includes("ready"));
    {
      await using target = LinuxTarget.attach(running.pid);
      assert.equal([...target.threads()].length, 5);
      assert.equal(new Set([...target.threads()].map((id) => target.spaceOf(id))).size, 1);
      const memory = target.memory(target.spaceOf(mainThread(target)));
      const original = new Uint8Array(1);
      memory.read(at, original);
      memory.writeText(at, INT3);
      const seen = new Set<number>();
      for (let hits = 0; hits < 200;) {
        const stop = target.wait(performance.now() + 5000);
        assert.equal(stop?.kind, "breakpoint");
        assert.equal(stop.at, at);
        const { thread } = stop; // the object is used again
        seen.add(thread);
        hits++;
        // Step over it: the byte put back for the moment, which loses the hits of others.
        memory.writeText(at, original);
        target.registers(thread).pc = at;
        target.resume(thread, { kind: "step" });
        for (;;) {
          const next = target.wait(performance.now() + 5000);
          assert.ok(next !== undefined);
          if (next.kind === "step" && next.thread === thread) break;
          assert.equal(next.kind, "breakpoint");
          target.registers(next.thread).pc = at;
          target.resume(next.thread, CONTINUE);
        }
        memory.writeText(at, INT3);
        target.resume(thread, CONTINUE);
      }
      assert.equal(seen.size, 4);
      memory.writeText(at, original);
    }
    assert.equal(field(running.pid, "TracerPid"), "0");
    assert.equal(readdirSync(`/proc/${running.pid}/task`).length, 5);
    kill(running.pid, "SIGUSR1");
    until("end", () => running.output().split("counted").length === 5);
  } finally {
    kill(running.pid);
  }
});

testCompiled("what was written to a held thread's registers outlasts the stops of others", async () => {
  const program = compile("counters", COUNTERS);
  const at = symbol(program, "tick");
  const running = background([program]);
  try {
    until("ready", () => running.output().includes("ready"));
    {
      await using target = LinuxTarget.attach(running.pid);
      const memory = target.memory(target.spaceOf(mainThread(target)));
      const original = new Uint8Array(1);
      memory.read(at, original);
      memory.writeText(at, INT3);
      const held: ThreadId[] = [];
      for (let interrupted = 0; interrupted < 10;) {
        if (held.length > 0) target.interrupt(mainThread(target));
        const stop = target.wait(performance.now() + 5000);
        assert.ok(stop !== undefined);
        if (stop.kind === "breakpoint") {
          held.push(stop.thread);
          memory.writeText(at, original);
          target.registers(stop.thread).pc = at;
          target.registers(stop.thread).write("rax", 0x1234n); // at a function's entry nobody's
        } else {
          interrupted++;
          target.resume(stop.thread, CONTINUE);
        }
      }
      for (const thread of held) {
        assert.equal(target.registers(thread).pc, at);
        assert.equal(target.registers(thread).read("rax"), 0x1234n);
        target.resume(thread, CONTINUE);
      }
    }
    kill(running.pid, "SIGUSR1");
    until("end", () => running.output().split("counted").length === 5);
  } finally {
    kill(running.pid);
  }
});

testCompiled("a thread that is stopped for a moment goes on, however late we look", async (t) => {
  const running = background([compile("counters", COUNTERS)]);
  try {
    until("ready", () => running.output().includes("ready"));
    await using target = LinuxTarget.attach(running.pid);
    const space = target.spaceOf(mainThread(target));
    const { guard } = target.capabilities;
    assert.ok(guard !== undefined);
    // As on a busy machine: whoever looks at the clock gets the processor back a second later.
    const now = performance.now.bind(performance);
    const nap = new Int32Array(new SharedArrayBuffer(4));
    let late = 0;
    t.mock.method(performance, "now", () => {
      Atomics.wait(nap, 0, 0, 20);
      return now() + 1000 * ++late;
    });
    guard.begin(space);
    t.mock.restoreAll();
    assert.ok(late > 0);
    // A stop that is still to be dealt with is, and is told to nobody.
    for (let stop; (stop = target.wait(performance.now() + 100)) !== undefined;)
      assert.fail(`a stop was told: ${stop.kind}`);
    for (const thread of target.threads())
      until(`thread ${String(thread)} goes on`, () => field(thread, "State") !== "t");
  } finally {
    kill(running.pid);
  }
});

testCompiled("a stopped job stays stopped while attached and after detaching", async () => {
  const running = background([compile("counters", COUNTERS)]);
  try {
    until("ready", () => running.output().includes("ready"));
    kill(running.pid, "SIGSTOP");
    until("stopped", () => field(running.pid, "State") === "T");
    {
      await using target = LinuxTarget.attach(running.pid);
      assert.equal(target.wait(performance.now() + 50), undefined);
      target.interrupt(mainThread(target));
      const stop = target.wait(performance.now() + 2000);
      assert.equal(stop?.kind, "interrupted");
      target.resume(stop.thread, CONTINUE);
      assert.equal(target.wait(performance.now() + 50), undefined);
    }
    until("stopped again", () => field(running.pid, "State") === "T");
    {
      await using target = LinuxTarget.attach(running.pid);
      target.wait(performance.now() + 20);
      kill(running.pid, "SIGCONT");
      const stop = target.wait(performance.now() + 2000);
      assert.equal(stop?.kind, "signal");
      target.resume(stop.thread, { kind: "deliver" });
      target.wait(performance.now() + 50);
    }
    kill(running.pid, "SIGUSR1");
    until("end", () => running.output().split("counted").length === 5);
  } finally {
    kill(running.pid);
  }
});

testCompiled("a pending signal is delivered at detach", async () => {
  const running = background([compile("counters", COUNTERS)]);
  try {
    until("ready", () => running.output().includes("ready"));
    {
      await using target = LinuxTarget.attach(running.pid);
      kill(running.pid, "SIGUSR1");
      const stop = target.wait(performance.now() + 2000);
      assert.equal(stop?.kind, "signal");
    }
    until("end", () => running.output().split("counted").length === 5);
  } finally {
    kill(running.pid);
  }
});

const PLAIN = `
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int c, char **v) {
  if (c > 1) { int p = fork(); if (p == 0) _exit(0); siginfo_t i; waitid(P_PID, p, &i, WEXITED | WNOWAIT); printf("%d\\n", p); fflush(stdout); }
  else puts("ready");
  fflush(stdout);
  sleep(60); return 0;
}
`;

testCompiled("what cannot be traced is refused with one clear sentence", async () => {
  const program = compile("plain", PLAIN);
  const refused = (pid: number, message: RegExp): void => {
    assert.throws(
      () => LinuxTarget.attach(pid),
      (error) => error instanceof TargetError && message.test(error.message),
    );
  };
  refused(2 ** 22 + 5, /no such process: 4194309/);
  refused(-1, /not a process ID/);
  refused(process.pid, /cannot trace itself/);
  for (const thread of readdirSync("/proc/self/task")) refused(Number(thread), /cannot trace itself/);
  const kernel = execFileSync(
    "sh",
    ["-c", "grep -l '^PPid:.2$' /proc/[0-9]*/status | head -1 | cut -d/ -f3"],
    { encoding: "utf8" },
  ).trim();
  if (kernel !== "") refused(Number(kernel), /is a kernel thread/);
  const parent = background([program, "zombie"]);
  try {
    until("zombie", () => parent.output().includes("\n"));
    refused(Number(parent.output()), /already ended/);
  } finally {
    kill(parent.pid);
  }
  const file = temporary("traced");
  await using target = launchTo(file, [program]);
  const main = mainThread(target);
  refused(main, new RegExp(`already traced by process \\d+`));
  kill(main);
});

testCompiled("a 32-bit program is refused", () => {
  // Only its header counts: a copy of our program with the class changed cannot run, so a child
  // that has a file like that as its program is made by the one way there is: gcc -m32.
  let program: string;
  try {
    program = compile(
      "narrow",
      'void _start(void) { for (;;) __asm__ volatile("mov $29, %eax; int $0x80"); }',
      ["-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie"],
    );
  } catch {
    assert.fail("gcc cannot make 32-bit programs here");
  }
  const running = background([program]);
  try {
    assert.throws(() => LinuxTarget.attach(running.pid), /is a 32-bit program/);
  } finally {
    kill(running.pid);
  }
});

testCompiled("an interrupt does not show: system calls go on that a stop would end", async () => {
  const program = compile(
    "sleepers",
    `#include <errno.h>
     #include <poll.h>
     #include <pthread.h>
     #include <semaphore.h>
     #include <signal.h>
     #include <stdio.h>
     #include <string.h>
     #include <sys/epoll.h>
     #include <sys/sem.h>
     #include <sys/socket.h>
     #include <time.h>
     #include <unistd.h>
     int ends[2];
     void tell(const char *what, int r) { printf("%s %d %s\\n", what, r, r < 0 ? strerror(errno) : ""); fflush(stdout); }
     void *epoll(void *a) { struct epoll_event v; int e = epoll_create1(0); v.events = EPOLLIN; epoll_ctl(e, EPOLL_CTL_ADD, ends[0], &v); tell("epoll", epoll_wait(e, &v, 1, -1)); return 0; }
     void *sem(void *a) { int s = semget(IPC_PRIVATE, 1, 0600); struct sembuf b = {0, -1, 0}; struct timespec t = {1, 0}; tell("sem", semtimedop(s, &b, 1, &t)); semctl(s, 0, IPC_RMID); return 0; }
     void *wait_(void *a) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); struct timespec t = {1, 0}; tell("sigwait", sigtimedwait(&s, 0, &t)); return 0; }
     void *receive(void *a) { struct timeval t = {5, 0}; char c; setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t); tell("recv", recv(ends[0], &c, 1, MSG_PEEK)); return 0; }
     void *polling(void *a) { struct pollfd p = {ends[0], POLLIN, 0}; tell("poll", poll(&p, 1, -1)); return 0; }
     void *sleeping(void *a) { tell("sleep", usleep(900000)); return 0; }
     int main() { pthread_t t[6]; void *(*f[])(void *) = {epoll, sem, wait_, receive, polling, sleeping};
       sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); sigprocmask(SIG_BLOCK, &s, 0);
       socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
       for (int i = 0; i < 6; i++) pthread_create(&t[i], 0, f[i], 0);
       usleep(300000); write(ends[1], "x", 1);
       for (int i = 0; i < 6; i++) pthread_join(t[i], 0);
       puts("end"); return 0; }`,
  );
  const running = background([program]);
  try {
    until("threads", () => readdirSync(`/proc/${running.pid}/task`).length === 7);
    let interruptions = 0;
    {
      await using target = LinuxTarget.attach(running.pid);
      for (let round = 0; round < 5; round++) {
        for (const thread of target.threads()) target.interrupt(thread);
        for (;;) {
          const stop = target.wait(performance.now() + 20);
          if (stop === undefined) break;
          if (stop.kind === "interrupted") interruptions++;
          if (stop.kind !== "thread-gone") target.resume(stop.thread, CONTINUE);
        }
      }
    }
    assert.ok(interruptions >= 20);
    until("end", () => running.output().includes("end"));
    assert.deepEqual(running.output().trim().split("\n").sort(), [
      "end",
      "epoll 1 ",
      "poll 1 ",
      "recv 1 ",
      "sem -1 Resource temporarily unavailable",
      "sigwait -1 Resource temporarily unavailable",
      "sleep 0 ",
    ]);
  } finally {
    kill(running.pid);
  }
});

testCompiled("64 threads are let go in the middle of hits, none lost, no byte changed", async () => {
  const program = compile(
    "crowd",
    `#include <pthread.h>
     #include <stdio.h>
     #include <unistd.h>
     volatile int over; volatile long sums[64], calls[64];
     __attribute__((noinline)) void tick(long *c) { __asm__ volatile("nop"); ++*c; }
     void *work(void *a) { long i = (long)a; while (!over) { calls[i]++; tick((long *)&sums[i]); if (calls[i] % 64 == 0) usleep(1000); } return 0; }
     int main(int argc, char **argv) { (void)argc; pthread_t t[64]; for (long i = 0; i < 64; i++) pthread_create(&t[i], 0, work, (void *)i);
       puts("ready"); fflush(stdout); while (access(argv[1], F_OK) != 0) usleep(10000); over = 1;
       int bad = 0; for (int i = 0; i < 64; i++) { pthread_join(t[i], 0); bad += sums[i] != calls[i]; }
       printf("bad %d\\n", bad); return 0; }`,
  );
  // The breakpoint stands on the nop: to go on behind it is to execute it.
  const at = symbol(program, "tick");
  const enough = temporary("enough");
  const running = background([program, enough]);
  try {
    until("ready", () => running.output().includes("ready"));
    for (let round = 0; round < 3; round++) {
      await using target = LinuxTarget.attach(running.pid);
      const memory = target.memory(target.spaceOf(mainThread(target)));
      const original = new Uint8Array(1);
      memory.read(at, original);
      assert.equal(original[0], 0x90);
      memory.writeText(at, INT3);
      const seen = new Set<number>();
      for (let hits = 0; hits < 5000; hits++) {
        const stop = target.wait(performance.now() + 2000);
        assert.equal(stop?.kind, "breakpoint");
        seen.add(stop.thread);
        target.registers(stop.thread).pc = (at + 1) as typeof at;
        target.resume(stop.thread, CONTINUE);
      }
      assert.ok(seen.size > 32, `${seen.size} threads were seen`);
      memory.writeText(at, original);
    }
    writeFileSync(enough, "");
    until("the end", () => running.output().includes("bad"), 30_000);
    assert.equal(running.output(), "ready\nbad 0\n");
  } finally {
    kill(running.pid);
  }
});

testCompiled("detaching does not wait for the parent of a vfork", async () => {
  const program = compile(
    "vforks",
    `#include <stdio.h>
     #include <sys/wait.h>
     #include <unistd.h>
     int main() { puts("ready"); fflush(stdout); for (int i = 0; i < 5; i++) { if (vfork() == 0) { usleep(300000); _exit(0); } wait(0); } puts("end"); return 0; }`,
  );
  const running = background([program]);
  try {
    until("ready", () => running.output().includes("ready"));
    {
      await using target = LinuxTarget.attach(running.pid);
      for (let starts = 0; starts < 1;) {
        const stop = target.wait(performance.now() + 2000);
        assert.ok(stop !== undefined);
        if (stop.kind === "thread-start") starts++;
        if (stop.kind !== "thread-gone")
          target.resume(stop.thread, stop.kind === "signal" ? { kind: "deliver" } : CONTINUE);
      }
      // The child sleeps, its parent is in vfork.
    }
    until("end", () => running.output().includes("end"));
    assert.equal(running.output(), "ready\nend\n");
  } finally {
    kill(running.pid);
  }
});
