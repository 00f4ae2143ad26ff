// A program that is set-user-ID has its privileges, or the user is told that it has not.
import assert from "node:assert/strict";
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type AsideResult, traceAside } from "../support/aside-tracer.js";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { spawnSync } from "node:child_process";

const ROOT = process.getuid?.() === 0;
const GCC = ROOT ? needs("gcc") : { skip: "makes a set-user-ID program: run it as root" };

const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] as const;
const [PRIVILEGED, UNPRIVILEGED] = [42, 43];

/** Traced by nobody's user, with everything where that user can see it. */
async function tracedByNobody(
  how: string | undefined,
): Promise<AsideResult & { readonly bare: number | null }> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-set-user-id-"));
  try {
    chmodSync(folder, 0o755);
    const [program, privileged] = [join(folder, "executes"), join(folder, "privileged")];
    copyFileSync(target("executes"), program);
    copyFileSync(target("privileged"), privileged);
    chownSync(privileged, 0, 0);
    chmodSync(privileged, 0o4755);
    const command = how === undefined ? [privileged] : [program, how, privileged];
    const [setpriv, ...words] = [...NOBODY, ...command];
    const bare = spawnSync(setpriv, words).status;
    const symbols = how === undefined ? ["main"] : ["counted"];
    const tracer = traceAside({ launch: command, symbols }, NOBODY);
    return { ...(await tracer.result), bare };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const WAYS = {
  exec: { hits: 5, what: "executes" },
  descriptor: { hits: 5, what: "executes by its descriptor" },
  spawn: { hits: 10, what: "starts with posix_spawn" },
} as const;

for (const [how, { hits, what }] of Object.entries(WAYS)) {
  test(
    `a set-user-ID program that the target ${what} is let go before, has its privileges, and is told of`,
    GCC,
    async () => {
      const { bare, status, probes, warnings } = await tracedByNobody(how);
      assert.equal(bare, PRIVILEGED);
      assert.deepEqual(status, { kind: "exited", status: PRIVILEGED });
      assert.equal(probes[0]?.completed, hits);
      assert.match(warnings.join(), /process \d+ is let go where it executes .*, which is set-user-ID/);
    },
  );
}

test("one that is launched itself runs without its privileges, and the user is told", GCC, async () => {
  const { bare, status, warnings } = await tracedByNobody(undefined);
  assert.equal(bare, PRIVILEGED);
  assert.deepEqual(status, { kind: "exited", status: UNPRIVILEGED });
  assert.match(
    warnings.join(),
    /executes .*privileged, which is set-user-ID, and runs without its privileges/,
  );
});

test(
  "one that a thread beside others executes runs without its privileges, and the user is told",
  GCC,
  async () => {
    const { bare, status, warnings } = await tracedByNobody("thread");
    assert.equal(bare, PRIVILEGED);
    assert.deepEqual(status, { kind: "exited", status: UNPRIVILEGED });
    assert.match(
      warnings.join(),
      /executes .*privileged, which is set-user-ID, and runs without its privileges/,
    );
  },
);

test("a program that executes what is not there is not let go", GCC, async () => {
  const { status, probes, warnings } = await tracedByNobody("missing");
  assert.deepEqual(status, { kind: "exited", status: PRIVILEGED });
  assert.equal(probes[0]?.completed, 10);
  assert.deepEqual(warnings, []);
});
