// Text that is not ours alone: children run in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { run, target } from "../support/programs.js";
import { SUCCESS, traced } from "../support/traced.js";

const GCC = needs("gcc");

const CHILDREN = {
  memory: "a child in the same memory (CLONE_VM)",
  vfork: "a vfork child",
  copy: "a copy",
} as const;

for (const [how, what] of Object.entries(CHILDREN)) {
  test(`${what} runs over probed text, and lives`, GCC, async () => {
    const program = target("cloned");
    const bare = run(program, how);
    assert.equal(bare.stdout, "child exited with 5\n");
    const { output, status, probes } = await traced(
      [program, how],
      [{ symbolName: "shared_text", preHandler: () => undefined }],
    );
    assert.equal(output, bare.stdout);
    assert.deepEqual(status, SUCCESS);
    assert.ok((probes[0]?.hits ?? 0) >= 2);
  });
}
