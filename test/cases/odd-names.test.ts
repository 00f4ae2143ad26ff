// Programs whose names are no text, or that have lost their names.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startAside, until } from "../api/aside.js";
import { needs } from "../support/needs.js";
import { target, trapline } from "../support/programs.js";

for (const [what, odd] of Object.entries({
  "has bytes that are no UTF-8": [Buffer.from([0x63, 0xe9, 0x2e, 0xff]), false],
  "has a carriage return and a backslash": [Buffer.from("a\rb\\101"), false],
  "has lost its file": [Buffer.from("lost"), true],
} as const)) {
  test(`a program whose name ${what} is probed by a script that names the target`, needs("gcc"), async () => {
    const folder = mkdtempSync(join(tmpdir(), "trapline-names-"));
    const [name, lose] = odd;
    const copy = Buffer.concat([Buffer.from(`${folder}/`), name]);
    try {
      copyFileSync(target("steady"), copy);
      // Arguments of a program are text to Node: the shell finds the name.
      const program = await startAside("sh", "-c", 'exec "$1"/*', "sh", folder);
      let ended;
      try {
        await until("both threads run", () => readdirSync(`/proc/${String(program.pid)}/task`).length === 2);
        if (lose) unlinkSync(copy);
        const script = `global n probe process.function("beat") { if (++n == 3) { printf("beats\\n"); exit() } }`;
        const outcome = trapline("-e", script, "-x", String(program.pid));
        assert.deepEqual([outcome.stdout, outcome.stderr, outcome.status], ["beats\n", "", 0]);
      } finally {
        ended = await program.end();
      }
      assert.deepEqual(ended, { output: "every beat was right", status: 7 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
