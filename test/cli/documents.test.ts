import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseCommandLine } from "../../src/cli/command-line.js";
import { SPELLINGS } from "../../src/cli/option-table.js";
import { LIMITS } from "../../src/runtime/limits.js";

const path = (name: string): string => fileURLToPath(new URL(`../../../${name}`, import.meta.url));
const text = (name: string): string => readFileSync(path(name), "utf8");
const EXPECTED = [...SPELLINGS].sort();

/** The distinct matches of the pattern's first group. */
function named(source: string, pattern: RegExp): string[] {
  return [...new Set([...source.matchAll(pattern)].map(([, name = ""]) => name))].sort();
}

function manual(): string {
  return text("man/trapline.1").replaceAll("\\-", "-");
}

void test("help lists every option, each under a heading, within 80 columns", () => {
  const request = parseCommandLine(["--help"], "1");
  assert.ok(request.kind === "print");
  const help = request.text;
  const listed = help.split("\nCommands:")[0] ?? "";
  assert.deepEqual(
    named(listed.replaceAll(/^ {2}(-\S), (--\S+)/gm, "  $1\n  $2"), /^ {2}(--?[A-Za-z][\w-]*)/gm),
    EXPECTED,
  );
  assert.doesNotMatch(help, /^Options:/m, "no option is left without a group");
  assert.deepEqual(
    help.split("\n").filter((line) => line.length > 80),
    [],
  );
});

void test("the man page describes exactly the options that the parser has", () => {
  const options = /^\.SH OPTIONS\n(.*?)^\.SH /ms.exec(manual())?.[1] ?? "";
  const heads = [...options.matchAll(/^\.TP\n\.(?:B|BI|BR) (.*)$/gm)].map(([, head = ""]) => head).join("\n");
  assert.deepEqual(named(heads, /(?<![\w-])(--?[A-Za-z][\w-]*)/g), EXPECTED);
});

void test("the man page states every limit and its value", () => {
  const limits = /^\.SH LIMITS\n(.*?)^\.SH /ms.exec(manual())?.[1] ?? "";
  const stated = [...limits.matchAll(/^\.BR (\w+) " \((.*)\)"$/gm)].map(([, name, value]) => [name, value]);
  const expected = Object.entries(LIMITS).map(([name, { initial }]) => [
    name,
    name === "MAXACTION_INTERRUPTIBLE" ? "10 times MAXACTION" : String(initial),
  ]);
  assert.deepEqual(stated.sort(), expected.sort());
});

const COMPLETIONS = {
  "completions/trapline.bash": (source: string) =>
    (/options='([^']*)'/.exec(source)?.[1] ?? "").split(/\s+/).sort(),
  "completions/_trapline": (source: string) => {
    const block = /^options=\(\n(.*?)^\)/ms.exec(source)?.[1] ?? "";
    return named(block, /^\s*'(?:\([^)]*\))?\*?(--?[A-Za-z][\w-]*)\[/gm)
      .concat([...block.matchAll(/\{(-\S),(--\S+)\}/g)].flatMap(([, short = "", long = ""]) => [short, long]))
      .sort();
  },
  "completions/trapline.fish": (source: string) =>
    [...source.matchAll(/^complete -c trapline.*$/gm)]
      .flatMap(([line]) => [...line.matchAll(/ -(s|l) (\S+)/g)])
      .map(([, kind, name = ""]) => (kind === "s" ? `-${name}` : `--${name}`))
      .sort(),
};

for (const [file, optionsOf] of Object.entries(COMPLETIONS)) {
  void test(`${file} offers exactly the options that the parser has, and every limit`, () => {
    const source = text(file);
    assert.deepEqual(optionsOf(source), EXPECTED);
    assert.deepEqual(named(source, /\b((?:MAX|HIST_|STP_)[A-Z_]+)\b/g), Object.keys(LIMITS).sort());
    assert.match(source, /doctor/);
  });
}

void test("bash completes options, values and the doctor", () => {
  const complete = (...words: string[]): string[] => {
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _trapline; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const done = spawnSync(
      "bash",
      ["-c", script, "bash", path("completions/trapline.bash"), "trapline", ...words],
      {
        encoding: "utf8",
      },
    );
    assert.equal(done.status, 0, done.stderr);
    return done.stdout.trim().split("\n").sort();
  };
  assert.deepEqual(complete("--su"), ["--suppress-handler-errors"]);
  assert.deepEqual(complete("--s"), ["--smp", "--strict-faults", "--suppress-handler-errors"]);
  assert.deepEqual(complete("-p", ""), ["1", "2", "3", "4", "5"]);
  assert.deepEqual(complete("-D", "MAXF"), ["MAXFAULT="]);
  assert.ok(complete("doc").includes("doctor"));
  assert.ok(complete("-x", "1").includes("1"));
});
