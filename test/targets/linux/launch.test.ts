import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { TargetError } from "../../../src/base/errors.js";
import { LinuxTarget } from "../../../src/targets/linux/target.js";
import { compile, course, kinds, launchTo, mainThread, temporary, testCompiled } from "./support.js";

/** Prints what a process inherits, but nothing that differs from run to run. */
const STATE = `
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv) {
  for (int s = 1; s < 65; s++) {
    struct sigaction a;
    if (sigaction(s, NULL, &a) == 0 && a.sa_handler != SIG_DFL) printf("signal %d: %p\\n", s, (void *)a.sa_handler);
  }
  sigset_t m; sigemptyset(&m); sigprocmask(SIG_BLOCK, NULL, &m);
  for (int s = 1; s < 65; s++) if (sigismember(&m, s) == 1) printf("blocked %d\\n", s);
  for (int r = 0; r < RLIM_NLIMITS; r++) {
    struct rlimit l; getrlimit(r, &l);
    printf("limit %d: %lu %lu\\n", r, (unsigned long)l.rlim_cur, (unsigned long)l.rlim_max);
  }
  for (int f = 0; f < 1024; f++) {
    int flags = fcntl(f, F_GETFD);
    if (flags < 0) continue;
    printf("descriptor %d: %d %o\\n", f, flags, fcntl(f, F_GETFL));
  }
  printf("session %d group %d\\n", getsid(0), getpgid(0) == getpgid(getppid()));
  printf("nice %d policy %d\\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
  cpu_set_t c; sched_getaffinity(0, sizeof c, &c); printf("processors %d\\n", CPU_COUNT(&c));
  printf("dumpable %d nnp %d death %d\\n", prctl(PR_GET_DUMPABLE), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  char name[17] = ""; prctl(PR_GET_NAME, name); printf("name %s\\n", name);
  printf("umask %o\\n", umask(0));
  for (char **e = environ; *e; e++) if (strncmp(*e, "_=", 2)) printf("%s\\n", *e);
  for (int i = 0; i < argc; i++) printf("argument %s\\n", argv[i]);
  return 3;
}
`.replace("#include <unistd.h>", "#include <sys/stat.h>\n#include <unistd.h>");

testCompiled("a launched program finds the world that a shell would have given it", () => {
  const program = compile("state", STATE);
  const bare = temporary("bare");
  const probed = temporary("probed");
  const argv = [program, "one", "two words", ""];
  // The shell that runs bare is a child of Node, too: it must undo what Node's limit did to it.
  const limit =
    /^Max open files +(\S+)/m.exec(readFileSync(`/proc/${process.ppid}/limits`, "utf8"))?.[1] ?? "";
  const shell = `ulimit -S -n ${limit}; exec "$@" >${bare} 2>&1`;
  // A shell keeps a SIGPIPE that it was started with as ignored, which Node would do; env undoes it.
  try {
    execFileSync("env", ["--default-signal", "/bin/sh", "-c", shell, "sh", ...argv], { stdio: "inherit" });
  } catch (error) {
    assert.ok(error instanceof Error && "status" in error && error.status === 3);
  }
  const target = launchTo(probed, argv);
  const main = mainThread(target);
  const { ends } = course(target);
  assert.deepEqual(ends.get(main), { kind: "exited", status: 3 });
  assert.equal(readFileSync(probed, "utf8"), readFileSync(bare, "utf8"));
});

testCompiled("launch stops before the first instruction, registers readable and writable", async () => {
  await using target = LinuxTarget.launch(["/bin/true"]);
  const main = mainThread(target);
  assert.equal(target.isStopped(main), true);
  const registers = target.registers(main);
  const at = target
    .mappings(target.spaceOf(main))
    .find((m) => registers.pc >= m.start && registers.pc < m.end);
  assert.match(at?.path ?? "", /ld-linux/);
  assert.equal(registers.read("rax"), 0n);
  const { stops, ends } = course(target);
  assert.deepEqual(kinds(stops), ["thread-exiting", "thread-gone"]);
  assert.deepEqual(ends.get(main), { kind: "exited", status: 0 });
});

testCompiled("an environment that is given is the whole environment", async () => {
  const program = compile("state", STATE);
  const file = temporary("environment");
  await using target = LinuxTarget.launch(["/bin/sh", "-c", `exec ${program} >${file}`], {
    environment: { ONLY: "this", PATH: "/bin" },
  });
  course(target);
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => /^[A-Z]+=/.test(line));
  assert.deepEqual(lines.filter((line) => !line.startsWith("PWD=")).sort(), ["ONLY=this", "PATH=/bin"]);
});

testCompiled("what cannot be executed is said in one sentence", () => {
  const script = temporary("noshebang");
  writeFileSync(script, "echo hello\n");
  chmodSync(script, 0o755);
  const plain = temporary("plain");
  writeFileSync(plain, "");
  chmodSync(plain, 0o644);
  const cases: [string, RegExp][] = [
    ["/nonexistent/program", /cannot execute \/nonexistent\/program: no such program/],
    ["no-such-command-anywhere", /cannot execute no-such-command-anywhere: no such program/],
    [plain, /permission denied/],
    [script, /exec format error/],
    ["/", /permission denied/],
    ["", /no program/],
  ];
  for (const [name, message] of cases)
    assert.throws(
      () => LinuxTarget.launch([name]),
      (error) => error instanceof TargetError && message.test(error.message),
      name,
    );
});
