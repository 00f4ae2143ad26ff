import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { type Outcome, printed, run, trapline } from "../support/programs.js";

// Examples are shown as they are run: from the top of the repository.
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
process.chdir(ROOT);

const OWN_LINES = /^(read|lost: not there|opened|failed: ).*\n/gm;
const CANCELLED =
  /^WARNING: probe .*"strlen"\) at examples\/case-[25]\.stp:\d+:7: 2 of \d+ hits cancelled by a handler fault; the first: read fault at 0x8 \(unmapped\) near identifier 'user_string' at .*\n$/;

interface Example {
  readonly program: "dodgy.pl" | "open.pl";
  /** What the script prints, beside what its target prints. */
  readonly script: string;
  readonly stderr?: RegExp;
  /** What the TypeScript example prints. */
  readonly typescript: string;
}

const EXAMPLES: Readonly<Record<string, Example>> = {
  "case-1": {
    program: "dodgy.pl",
    script: "strlen(first)\nstrlen(?)\nstrlen(second)\nstrlen(?)\nyes, that was dodgy: 2 times\n",
    typescript:
      '{"text":"first"}\nyes, that was dodgy: read fault at 0x8 (unmapped)\n' +
      '{"text":"second"}\nyes, that was dodgy: read fault at 0x10 (unmapped)\ndodgy: 2\n',
  },
  "case-2": {
    program: "dodgy.pl",
    script: "2 calls were cancelled\n",
    stderr: CANCELLED,
    typescript:
      "cancelled: read fault at 0x8 (unmapped); freed the lock\n" +
      "cancelled: read fault at 0x10 (unmapped); freed the lock\nhandlers cancelled: 2, locked: false\n",
  },
  "case-3": {
    program: "open.pl",
    script: "open returned\nopen returned\n3 tried\n",
    typescript: "instruction faults: 2\na record for each load that was done: true\n",
  },
  "case-3a": {
    program: "open.pl",
    script: "open met EFAULT, not to be tried again\n",
    typescript: "SIGSEGV at 8\nSIGSEGV at 16\n",
  },
  "case-3b": {
    program: "open.pl",
    script: "open returned\nopen returned\nopen faulted: EFAULT\n",
    typescript: "raised: 2\nall others done: true\n",
  },
  "case-3-implicit": {
    program: "open.pl",
    script: "open\nopen\nopen\nopen faulted: EFAULT\n",
    typescript: "raised: 2\neach arrival was seen: true\n",
  },
  "case-4": {
    program: "dodgy.pl",
    script: "yes, that was dodgy: 2 times\n",
    typescript:
      "yes, that was dodgy: read fault at 0x8 (unmapped)\nyes, that was dodgy: read fault at 0x10 (unmapped)\n",
  },
  "case-5": {
    program: "dodgy.pl",
    script: "2 calls were cancelled\n",
    stderr: CANCELLED,
    typescript:
      "cancelled: read fault at 0x8 (unmapped); freed the lock\n" +
      "cancelled: read fault at 0x10 (unmapped); freed the lock\nhandlers cancelled: 2\n",
  },
};

test("every example is run by a test", () => {
  const files = readdirSync("examples").filter((name) => name.startsWith("case-"));
  const expected = Object.keys(EXAMPLES).flatMap((name) => [`${name}.stp`, `${name}.ts`]);
  assert.deepEqual(files.sort(), expected.sort());
});

function succeeded(outcome: Outcome): void {
  assert.deepEqual([outcome.status, outcome.signal], [0, null], outcome.stderr);
}

for (const [name, { program, script, stderr, typescript }] of Object.entries(EXAMPLES)) {
  test(`examples/${name}.stp prints what it says, and its target what it prints alone`, needs("perl"), () => {
    const bare = run("perl", `examples/${program}`);
    const outcome = trapline("-c", `perl examples/${program}`, `examples/${name}.stp`);
    succeeded(outcome);
    assert.equal(printed(outcome, bare), script);
    assert.match(outcome.stderr, stderr ?? /^$/);
  });

  test(`examples/${name}.ts prints what it says`, needs("perl"), () => {
    const outcome = run(process.execPath, `build/examples/${name}.js`);
    succeeded(outcome);
    assert.equal(outcome.stderr, "");
    assert.equal(outcome.stdout.replaceAll(OWN_LINES, ""), typescript);
  });
}
