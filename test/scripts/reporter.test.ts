import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test, type TestContext } from "node:test";
import assert from "node:assert/strict";

const REPORTER = fileURLToPath(new URL("../../../scripts/lib/test-reporter.mjs", import.meta.url));

interface Result {
  readonly name: string;
  readonly ok: boolean;
  readonly skipped: boolean;
  readonly reason?: string;
}

/** Runs one test file under the reporter. */
function report(t: TestContext, source: string): { results: Result[]; output: string } {
  const folder = mkdtempSync(join(tmpdir(), "trapline-reporter-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "subject.test.mjs");
  const record = join(folder, "results.json");
  writeFileSync(file, `import { describe, test } from "node:test";\n${source}\n`);
  // Without the mark by which node:test knows its own children: this is a run of its own.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = ["--test", `--test-reporter=${REPORTER}`, "--test-reporter-destination=stdout", file];
  const done = spawnSync(process.execPath, args, {
    env: { ...env, TRAPLINE_TEST_RESULTS: record },
    encoding: "utf8",
  });
  return { results: JSON.parse(readFileSync(record, "utf8")) as Result[], output: done.stdout };
}

/** What matters of each result, in few words. */
function inShort(results: readonly Result[]): string[] {
  return results.map(({ ok, skipped, name }) => `${ok ? "ok" : skipped ? "skip" : "failed"} ${name}`);
}

test("what passed, failed and was skipped is told apart, with the reason", (t) => {
  const { results, output } = report(
    t,
    `test("good", () => undefined);
     test("bad", () => { throw new Error("broken pipe dream"); });
     test("later", { skip: "needs a moon" }, () => undefined);
     test("some day", { todo: true }, () => undefined);`,
  );
  assert.deepEqual(inShort(results), ["ok good", "failed bad", "skip later", "skip some day"]);
  assert.equal(results[1]?.reason, "broken pipe dream");
  assert.equal(results[2]?.reason, "needs a moon");
  assert.match(output, /Failed:[^]*bad[^]*broken pipe dream/);
});

test("subtests are counted, the tests around them are not, and their names go along", (t) => {
  const { results } = report(
    t,
    `describe("suite", () => { test("one", () => undefined); test("two", () => { throw new Error("no"); }); });
     test("parent", async (t) => { await t.test("child", () => undefined); });
     test("good child, bad parent", async (t) => { await t.test("child", () => undefined); throw new Error("own"); });
     test("plain", () => undefined);`,
  );
  assert.deepEqual(inShort(results), [
    "ok suite > one",
    "failed suite > two",
    "ok parent > child",
    "ok good child, bad parent > child",
    "failed good child, bad parent",
    "ok plain",
  ]);
});

test("a file without a test is a failure", (t) => {
  assert.deepEqual(inShort(report(t, "").results), ["failed the file holds a test"]);
});

test("a file whose process dies is a failure, also behind tests that passed", (t) => {
  const { results } = report(
    t,
    `test("good", () => undefined);
     test("deadly", () => new Promise(() => { process.kill(process.pid, "SIGKILL"); setTimeout(() => {}, 60_000); }));`,
  );
  assert.ok(inShort(results).includes("failed the file runs to its end"), inShort(results).join("; "));
});
