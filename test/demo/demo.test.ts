import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

test("the demo finds every case as the mail wants it", needs("perl"), () => {
  const done = spawnSync(process.execPath, ["scripts/demo/main.mjs"], {
    cwd: ROOT,
    encoding: "utf8",
    timeout: 120_000,
  });
  assert.equal(done.status, 0, `${done.stdout}\n${done.stderr}`);
  const lines = done.stdout.split("\n");
  for (const name of ["1", "2", "3", "3a", "3b", "4", "5"]) {
    assert.ok(
      lines.some((line) => line.startsWith(`  ${name.padEnd(3)} "`) && line.endsWith("ok")),
      `case ${name}`,
    );
  }
  assert.ok(done.stdout.includes('"yes, that was dodgy"'));
  const hashes = [...done.stdout.matchAll(/(?:bare|probed) +output sha256 (\w+) +ended: (\w+)/g)].map(
    (found) => found.slice(1).join(" "),
  );
  assert.equal(hashes.length, 2);
  assert.equal(hashes[0], hashes[1]);
  assert.match(done.stdout, /\|@+ +\d+/);
});
