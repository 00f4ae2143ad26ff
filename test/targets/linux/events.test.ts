import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type LinuxTarget } from "../../../src/targets/linux/target.js";
import type { Stop } from "../../../src/targets/target.js";
import {
  compile,
  course,
  kill,
  kinds,
  launchTo,
  mainThread,
  symbol,
  temporary,
  testCompiled,
} from "./support.js";

type Start = Extract<Stop, { kind: "thread-start" }>;
const starts = (stops: readonly Stop[]): Start[] =>
  stops.filter((stop): stop is Start => stop.kind === "thread-start");

const program = (body: string): string => `
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
${body}`;

function run(
  name: string,
  body: string,
): { target: LinuxTarget; main: number; output: string } & ReturnType<typeof course> {
  const file = temporary(`${name}.out`);
  const target = launchTo(file, [compile(name, program(body))]);
  const main = mainThread(target);
  const spaces = new Map<number, number>();
  const result = course(target, () => {
    for (const id of target.threads()) spaces.set(id, target.spaceOf(id));
    return undefined;
  });
  void target[Symbol.asyncDispose]();
  return { target, main, output: readFileSync(file, "utf8"), ...result };
}

testCompiled("threads are announced in their creator's space, and go", () => {
  const { main, stops, ends } = run(
    "threads",
    `void *f(void *a) { return a; }
     int main() { for (int i = 0; i < 50; i++) { pthread_t t[4];
       for (int j = 0; j < 4; j++) pthread_create(&t[j], 0, f, 0); for (int j = 0; j < 4; j++) pthread_join(t[j], 0); } return 5; }`,
  );
  const begun = starts(stops);
  assert.equal(begun.length, 200);
  for (const stop of begun) {
    assert.equal(stop.newProcess, false);
    assert.equal(stop.copyOf, undefined);
    assert.equal(stop.parent, main);
  }
  assert.equal(stops.filter((stop) => stop.kind === "thread-gone").length, 201);
  assert.equal(stops.filter((stop) => stop.kind === "thread-exiting").length, 201);
  assert.deepEqual([...ends], [[main, { kind: "exited", status: 5 }]]);
});

testCompiled("fork copies the space, vfork and posix_spawn share it until exec", () => {
  const { main, stops, ends, output } = run(
    "forks",
    `int main() { int s;
       if (fork() == 0) _exit(1);
       wait(&s);
       if (vfork() == 0) _exit(2);
       wait(&s);
       char *a[] = {"sh", "-c", "exit 3", 0}; pid_t p; posix_spawn(&p, "/bin/sh", 0, 0, a, environ); waitpid(p, &s, 0);
       printf("%d\\n", WEXITSTATUS(s)); return 4; }`,
  );
  const begun = starts(stops);
  assert.deepEqual(
    begun.map((stop) => stop.newProcess),
    [true, true, true],
  );
  assert.deepEqual(
    begun.map((stop) => stop.copyOf !== undefined),
    [true, false, false],
  );
  assert.equal(begun[1]?.space, begun[2]?.space);
  assert.notEqual(begun[0]?.space, begun[1]?.space);
  assert.equal(begun[0]?.copyOf, begun[1]?.space);
  const exec = stops.find((stop) => stop.kind === "exec");
  assert.ok(exec?.kind === "exec" && exec.former === exec.thread);
  assert.equal(exec.thread, begun[2]?.thread);
  assert.notEqual(exec.space, begun[2]?.space);
  assert.deepEqual(
    [...ends.values()].map((end) => end.kind === "exited" && end.status),
    [1, 2, 3, 4],
  );
  assert.equal([...ends.keys()].at(-1), main);
  assert.equal(output, "3\n");
});

testCompiled("exec by a thread that is not the leader ends the others and takes the leader's number", () => {
  const { main, stops, ends, output } = run(
    "exec-thread",
    `void *idle(void *a) { pause(); return a; }
     void *f(void *a) { usleep(20000); execl("/bin/echo", "echo", "executed", (char *)0); return a; }
     int main() { pthread_t t; pthread_create(&t, 0, idle, 0); pthread_create(&t, 0, f, 0); pause(); return 0; }`,
  );
  const exec = stops.findIndex((stop) => stop.kind === "exec");
  const stop = stops[exec];
  assert.ok(stop?.kind === "exec");
  assert.equal(stop.thread, main);
  const threads = starts(stops).map((s) => s.thread);
  assert.ok(threads.length === 2 && threads.includes(stop.former));
  const gone = stops
    .slice(0, exec)
    .filter((s) => s.kind === "thread-gone")
    .map((s) => s.thread);
  assert.deepEqual(new Set(gone), new Set([main, ...threads.filter((id) => id !== stop.former)]));
  assert.deepEqual(kinds(stops.slice(exec + 1)), ["thread-exiting", "thread-gone"]);
  assert.deepEqual([...ends], [[main, { kind: "exited", status: 0 }]]);
  assert.equal(output, "executed\n");
});

testCompiled("a process whose leader has left lives on, and its memory can be read", async () => {
  const file = temporary("leaderless.out");
  const name = compile(
    "leaderless",
    program(`volatile int go; char text[] = "still here"; pthread_t m;
      void *f(void *a) { pthread_join(m, 0); while (!go) usleep(1000); exit(9); }
      int main() { m = pthread_self(); pthread_t t; pthread_create(&t, 0, f, 0); pthread_exit(0); }`),
  );
  await using target = launchTo(file, [name]);
  const main = mainThread(target);
  let checked = false;
  const space = target.spaceOf(main);
  const { ends } = course(target, (stop) => {
    if (stop.kind === "thread-exiting" && stop.thread === main && !checked) {
      checked = true;
      const other = [...target.threadsOf(space)].find((id) => id !== main);
      assert.ok(other !== undefined);
      target.resume(main, { kind: "continue" });
      // Now the leader is a zombie.
      const end = performance.now() + 2000;
      while (!readFileSync(`/proc/${main}/stat`, "utf8").includes(") Z ") && performance.now() < end);
      const bytes = new Uint8Array(10);
      target.memory(space).read(symbol(name, "text"), bytes);
      assert.equal(Buffer.from(bytes).toString(), "still here");
      assert.ok(target.mappings(space).some((mapping) => mapping.path === "[stack]"));
      target.interrupt(other);
      // Its first stop, if that has not come yet.
      assert.match(target.wait(performance.now() + 2000)?.kind ?? "", /interrupted|thread-start/);
      target.memory(space).write(symbol(name, "go"), Uint8Array.of(1));
      target.resume(other, { kind: "continue" });
      return "resumed";
    }
    return undefined;
  });
  assert.ok(checked);
  assert.deepEqual([...ends], [[main, { kind: "exited", status: 9 }]]);
});

testCompiled("SIGKILL at any time ends as gone, never as an error", () => {
  const name = compile(
    "busy",
    program(
      `void *f(void *a) { for (;;) getppid(); } int main() { pthread_t t; for (int i = 0; i < 3; i++) pthread_create(&t, 0, f, 0); f(0); }`,
    ),
  );
  const target = launchTo("/dev/null", [name]);
  const main = mainThread(target);
  target.traceSystemCalls(true);
  let seen = 0;
  const { ends } = course(target, (stop) => {
    if (stop.kind === "system-call" && ++seen === 100) kill(main);
    return undefined;
  });
  assert.deepEqual([...ends], [[main, { kind: "killed", signal: "SIGKILL", number: 9, coreDumped: false }]]);
  void target[Symbol.asyncDispose]();
});

testCompiled("system calls stop at entry and exit, with their numbers", () => {
  const name = compile("calls", program(`int main() { syscall(SYS_getpgid, 0); syscall(12345); return 0; }`));
  const target = launchTo("/dev/null", [name]);
  target.traceSystemCalls(true);
  const { stops } = course(target);
  const calls = stops.flatMap((stop) =>
    stop.kind === "system-call" ? [`${stop.phase} ${stop.number}`] : [],
  );
  const from = calls.indexOf("entry 121");
  assert.deepEqual(calls.slice(from, from + 4), ["entry 121", "exit 121", "entry 12345", "exit 12345"]);
  assert.deepEqual(calls.slice(-1), ["entry 231"]);
  void target[Symbol.asyncDispose]();
});
