import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { printed, run, trapline } from "../support/programs.js";

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
    assert.match(text, /^pre 0, .*pre 0, .*pre 0, post 0\n$/);
    assert.doesNotMatch(text, /[1-9]/);
    assert.equal(outcome.status, 0);
  },
);
