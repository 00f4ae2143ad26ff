import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { printed, run, target, trapline } from "../support/programs.js";

const RESTART = fileURLToPath(new URL("../../../test/targets/restart.pl", import.meta.url));

/** How often each phase was, and which retry. */
const ORDER = `global order
  probe pre syscall.open { if (pid() == target() && int_arg(2) == 0) order .= sprintf("pre %d, ", probe_retries()) }
  probe fault syscall.open { if (pid() == target()) order .= sprintf("%s %d, ", fault_retryable() ? "again" : "over", probe_retries()) }
  probe post syscall.open { if (pid() == target()) order .= sprintf("post %d", probe_retries()) }
  probe end { println(order) }`;

test(
  "[S11 fault] [S3c fault] a system call that is interrupted to be restarted: fault each time, retryable; post once",
  needs("perl"),
  () => {
    const bare = run("perl", RESTART);
    assert.equal(bare.stdout, "opened: yes after 2 signals\n");
    const outcome = trapline("-e", ORDER, "-c", `perl ${RESTART}`);
    assert.equal(printed(outcome, bare), "pre 0, again 0, pre 1, again 1, pre 2, post 2\n");
    assert.equal(outcome.stderr, "");
    assert.equal(outcome.status, 0);
  },
);

test(
  "[S11 pre] a call that the program makes again by itself after EINTR is a new one",
  needs("perl"),
  () => {
    const bare = run("perl", RESTART, "EINTR");
    assert.equal(bare.stdout, "opened: yes after 2 signals\n");
    const outcome = trapline("-e", ORDER, "-c", `perl ${RESTART} EINTR`);
    const text = printed(outcome, bare);
    assert.equal(text, "pre 0, over 0, pre 0, over 0, pre 0, post 0\n");
    assert.equal(outcome.status, 0);
  },
);

/** What the probes saw of the one call of the program interrupted.c. */
const INTERRUPTED = (call: string): string => {
  const mine = call === "read" ? "pid() == target() && int_arg(3) == 77" : "pid() == target()";
  return `global order
    probe pre syscall.${call} { if (${mine}) order .= sprintf("pre %d, ", probe_retries()) }
    probe fault syscall.${call} { if (${mine}) order .= sprintf("%s %d, ", fault_retryable() ? "again" : "over", probe_retries()) }
    probe fault syscall.${call} { if (${mine}) order .= fault_name() . ", " }
    probe post syscall.${call} { if (${mine}) order .= sprintf("post %d, ", probe_retries()) }
    probe syscall.${call}.return { if (${mine}) order .= sprintf("= %d", returnval()) }
    probe end { println(order) }`;
};

const EINTR = "Interrupted system call";
const OVER = /^pre 0, over 0, EINTR, = -4$/;
// SIGSTOP interrupts it, and SIGCONT may do so once more.
const STOPPED = "pre 0, again 0, ERESTART, pre 1, (again 1, ERESTART, pre 2, )?";
const INTERRUPTIONS: readonly (readonly [call: string, how: string, came: string, seen: RegExp])[] = [
  ["read", "restart", "done after 1 signals", /^pre 0, again 0, ERESTART, pre 1, post 1, = 1$/],
  // A filter that cannot be read might kill who is made to ask: then nobody can count on it, and the
  // retry is one all the same.
  [
    "read",
    "restart seccomp",
    "done after 1 signals",
    /^pre 0, (again|over) 0, ERESTART, pre 1, post 1, = 1$/,
  ],
  ["read", "plain", `${EINTR} after 1 signals`, OVER],
  ["read", "stop", "done after 0 signals", new RegExp(`^${STOPPED}post [12], = 1$`)],
  // Never made again where a handler ran, whatever its flags.
  ["pause", "restart", `${EINTR} after 1 signals`, OVER],
  ["pause", "plain", `${EINTR} after 1 signals`, OVER],
  ["pause", "stop", `${EINTR} after 1 signals`, new RegExp(`^${STOPPED}over [12], EINTR, = -4$`)],
  ["nanosleep", "restart", `${EINTR} after 1 signals`, OVER],
  ["nanosleep", "stop", "done after 0 signals", new RegExp(`^${STOPPED}post [12], = 0$`)],
];

for (const [call, how, came, seen] of INTERRUPTIONS) {
  test(
    `[S11 fault] [S3c fault] ${call}, interrupted (${how}): retryable only where the kernel makes the call again`,
    needs("gcc"),
    () => {
      const program = target("interrupted");
      const bare = run(program, call, ...how.split(" "));
      assert.equal(bare.stdout, `${call}: ${came}\n`);
      const outcome = trapline("-e", INTERRUPTED(call), "-c", `${program} ${call} ${how}`);
      assert.match(printed(outcome, bare).trimEnd(), seen);
      assert.deepEqual([outcome.stderr, outcome.status], ["", 0]);
    },
  );
}
