import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test, type TestContext } from "node:test";
import assert from "node:assert/strict";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** The cells as the design has them: rows that the scripts must not lose. */
const PROCESS_CELLS = [
  ...["S1", "S2", "S3", "S3c", "S3d", "S6", "S7a", "S7b", "S8", "S10", "S11"].flatMap((row) => [
    `${row} pre`,
    `${row} post`,
    `${row} fault`,
  ]),
  ...["S3a", "S3b"].flatMap((row) => [`${row} post`, `${row} fault`]),
  ...["S9", "S12"].flatMap((row) => [`${row} pre`, `${row} fault`]),
];
/** For processes, and for kernels. */
const CELLS = [...PROCESS_CELLS, ...PROCESS_CELLS.map((cell) => `${cell} kernel`)];

/** A clone with nothing in it but the scripts, a README and the record of a test run. */
class Clone {
  readonly #folder = mkdtempSync(join(tmpdir(), "trapline-matrix-"));

  constructor(t: TestContext) {
    t.after(() => rmSync(this.#folder, { recursive: true, force: true }));
    cpSync(join(ROOT, "scripts"), join(this.#folder, "scripts"), { recursive: true });
    cpSync(join(ROOT, "README.md"), join(this.#folder, "README.md"));
    symlinkSync(join(ROOT, "node_modules"), join(this.#folder, "node_modules"));
    mkdirSync(join(this.#folder, "build"));
  }

  record(...names: readonly string[]): this {
    const results = names.map((name) => ({
      file: "test/x.test.ts",
      name,
      ok: !name.endsWith("fails"),
      skipped: false,
      durationMs: 1,
    }));
    writeFileSync(join(this.#folder, "build/test-results.json"), JSON.stringify(results));
    return this;
  }

  matrix(...args: readonly string[]): { status: number | null; said: string } {
    const script = join(this.#folder, "scripts/matrix.mjs");
    const done = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
    return { status: done.status, said: done.stdout + done.stderr };
  }

  get readme(): string {
    return readFileSync(join(this.#folder, "README.md"), "utf8");
  }
}

const ALL = CELLS.map((cell) => `[${cell}] it holds`);

test("with a passing test for each cell the matrix is written, and then it is what the check wants", (t) => {
  const clone = new Clone(t).record(...ALL);
  assert.deepEqual(clone.matrix("--check").status, 1, "the README has no such table yet");
  assert.deepEqual(clone.matrix().status, 0);
  const row = /\| S3a .*\| —<sup>1<\/sup> *\| ✓ 1 *\| ✓ 1 *\| —<sup>1<\/sup> *\| ✓ 1 *\| ✓ 1 *\|/;
  assert.match(clone.readme, row);
  assert.deepEqual(clone.matrix("--check"), { status: 0, said: "matrix: every cell has a passing test\n" });
});

test("each cell without a test fails the check by name", (t) => {
  const clone = new Clone(t);
  for (const cell of ["S1 pre", "S3a fault", "S12 fault", "S12 fault kernel"]) {
    const { status, said } = clone
      .record(...ALL.filter((name) => !name.startsWith(`[${cell}]`)))
      .matrix("--check");
    assert.equal(status, 1);
    assert.match(said, new RegExp(`^\\[${cell}\\] has no test$`, "m"));
  }
  assert.equal(
    clone
      .record()
      .matrix("--check")
      .said.match(/has no test/g)?.length,
    CELLS.length,
  );
});

test("a cell of which one test does not pass fails the check", (t) => {
  const { status, said } = new Clone(t).record(...ALL, "[S8 post] fails").matrix("--check");
  assert.equal(status, 1);
  assert.match(said, /\[S8 post\] did not pass: test\/x\.test\.ts: \[S8 post\] fails/);
});

test("a tag that is no cell is refused, other brackets are left alone", (t) => {
  const clone = new Clone(t).record(...ALL, "[S4 pre] x", "[S3a pre] y", "[s1 pre] z", "[x86-64] fine");
  const { said } = clone.matrix();
  assert.deepEqual(
    [...said.matchAll(/^\[(.*?)\] is no cell/gm)].map((match) => match[1]),
    ["S4 pre", "S3a pre", "s1 pre"],
  );
});

test("several tags count in several cells, and a suite's tags for its tests", (t) => {
  const clone = new Clone(t).record(...ALL, "[S1 pre][S1 post] both > [S2 pre][S2 fault kernel] inner");
  assert.equal(clone.matrix().status, 0);
  assert.match(clone.readme, /\| S1 .*\| ✓ 2 *\| ✓ 2 *\| ✓ 1 *(\| ✓ 1 *){3}\|/);
  assert.match(clone.readme, /\| S2 .*\| ✓ 2 *\| ✓ 1 *\| ✓ 1 *\| ✓ 1 *\| ✓ 1 *\| ✓ 2 *\|/);
});
