import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";

// What the documents show is run again: each ```console block is a command and what it printed.

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const DOCUMENTS = ["docs/the-mail.md", "README.md"];

const bin = mkdtempSync(join(tmpdir(), "trapline-documents-"));
writeFileSync(
  join(bin, "trapline"),
  `#!/bin/sh\nexec "${process.execPath}" "${ROOT}dist/cli/main.js" "$@"\n`,
);
chmodSync(join(bin, "trapline"), 0o755);
after(() => {
  rmSync(bin, { recursive: true });
});

interface Shown {
  readonly command: string;
  readonly printed: readonly string[];
}

/** The command goes on over lines until its quotes are closed. */
function shownIn(document: string): Shown[] {
  const blocks = [...document.matchAll(/^```console\n\$ ([^]*?)^```$/gm)].map((match) => match[1] ?? "");
  return blocks.map((block) => {
    const lines = block.trimEnd().split("\n");
    const end = lines.findIndex((_, index) => isClosed(lines.slice(0, index + 1).join("\n")));
    return { command: lines.slice(0, end + 1).join("\n"), printed: lines.slice(end + 1) };
  });
}

function isClosed(text: string): boolean {
  return (text.match(/'/g)?.length ?? 0) % 2 === 0;
}

/** Counts of calls and times differ between machines; so does how a table is aligned by them. */
function withoutNumbers(line: string): string {
  return line
    .replace(/\d+(\.\d+)?(ns|us|ms|s)\b/g, "TIME")
    .replace(/\d{3,}/g, "N")
    .replace(/\s+/g, " ")
    .trim();
}

/** A line `…` in a document stands for any number of lines. */
function agrees(printed: readonly string[], shown: readonly string[]): boolean {
  const [first, ...rest] = shown;
  if (first === undefined) return printed.length === 0;
  if (first === "…") return printed.some((_, from) => agrees(printed.slice(from), rest)) || agrees([], rest);
  return printed[0] === first && agrees(printed.slice(1), rest);
}

for (const document of DOCUMENTS) {
  const text = readFileSync(join(ROOT, document), "utf8");
  for (const { command, printed } of shownIn(text)) {
    const name = command.split("\n")[0] ?? "";
    test(`${document} shows what is printed by ${name}`, needs("libc6-dbg", "perl"), () => {
      const { stdout, stderr } = spawnSync("bash", ["-c", command], {
        cwd: ROOT,
        encoding: "utf8",
        timeout: 60_000,
        env: { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` },
      });
      const lines = `${stdout}${stderr}`.trimEnd().split("\n").map(withoutNumbers);
      const wanted = printed.map(withoutNumbers);
      if (wanted.includes("…") && agrees(lines, wanted)) return;
      // What a program and its tracer print stands in any order to each other.
      assert.deepEqual(lines.sort(), wanted.sort());
    });
  }
}

test("docs/the-mail.md names files, functions and tests that are there", () => {
  const text = readFileSync(join(ROOT, "docs/the-mail.md"), "utf8");
  let functions = 0;
  for (const [, path, name] of text.matchAll(/\]\(\.\.\/(src\/[^)]*)\)(?: \(`(\w+)`\))?/g)) {
    const source = readFileSync(join(ROOT, path ?? ""), "utf8");
    if (name === undefined) continue;
    functions++;
    assert.match(source, new RegExp(`\\b${name}\\b`), `${String(path)} has no ${name}`);
  }
  assert.ok(functions > 10);
  let tests = 0;
  for (const [, name = "", path = ""] of text.matchAll(
    /\[((?:\[[^\]]*\] ?)+[^\]]+)\]\(\.\.\/(test\/[^)]*)\)/g,
  )) {
    assert.ok(existsSync(join(ROOT, path)), path);
    // The phase may be put into the name where it is run: four words in a row are looked for.
    const words = name.replace(/^(\[[^\]]*\] ?)+/, "").split(" ");
    const source = readFileSync(join(ROOT, path), "utf8");
    const runs = words.map((_, from) => words.slice(from, from + 4)).filter((run) => run.length === 4);
    assert.ok(
      runs.some((run) => source.includes(run.join(" "))),
      `${path} has no test "${name}"`,
    );
    tests++;
  }
  assert.ok(tests > 10);
});

test("docs/safety.md names tests that are there", () => {
  const text = readFileSync(join(ROOT, "docs/safety.md"), "utf8");
  const named = [...text.matchAll(/\[([^\]]+)\]\(\.\.\/(test\/[^)]*)\)/g)];
  assert.ok(named.length > 15);
  for (const [, name = "", path = ""] of named) {
    assert.ok(readFileSync(join(ROOT, path), "utf8").includes(name), `${path} has no test "${name}"`);
  }
});
