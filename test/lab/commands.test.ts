// Commands reach the guest's shell byte for byte, whatever they are made of.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TargetError } from "../../src/base/errors.js";
import type { LabMachine } from "../../src/targets/lab/machine.js";
import { Random } from "../fuzz/random.js";
import { bootedLab, NEEDS_LAB } from "../support/lab.js";

const LONG = "abc \\ ü\n".repeat(4000);
/** What means something to shells, to `printf %b`, and to terminals. */
const AWKWARD = Array.from(
  "\\\\\\'\"`$ \t\n\r%*{}~!#&;|<>()=017nxce\u0001\u0003\u0004\u0011\u0013\u001a\u007fé😀",
);

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

describe("commands of a guest", { concurrency: false, ...NEEDS_LAB }, () => {
  let machine: LabMachine;

  before(async () => {
    machine = await bootedLab();
  });
  after(async () => {
    await machine.end();
  });

  const COMMANDS: Readonly<Record<string, readonly [command: string, output: string]>> = {
    "a doubled backslash": [String.raw`printf "a\\\\b"`, String.raw`a\b`],
    "backslashes in quotes": [String.raw`printf %s 'a\\\\b\0134\'`, String.raw`a\\\\b\0134` + "\\"],
    "quotes of all kinds": [`printf %s "it's" '"' "\`echo so\`"`, `it's"so`],
    "several lines": ["echo a\n\necho b\n\n", "a\nb\n"],
    "a document": ["cat <<'END'\n$HOME \\\\\nEND\n", "$HOME \\\\\n"],
    "a dollar": ['x=1; printf %s "$x" \'$x\' "\\$x"', "1$x$x"],
    "a blank before and behind": ["  printf ' a ' ", " a "],
    "other alphabets": ["printf %s 'ü€😀'", "ü€😀"],
    "what a terminal would take for its own": [
      "printf %s '\u0003\u0004\u0011\u0013\r'",
      "\u0003\u0004\u0011\u0013\r",
    ],
    nothing: ["", ""],
    "thirty kilobytes": [`printf %s ${quoted(LONG)}`, LONG],
  };
  for (const [name, [command, output]] of Object.entries(COMMANDS))
    test(name, async () => {
      assert.deepEqual(await machine.run(command), { output, error: "", status: 0 });
    });

  test("anything, drawn by chance", async (t) => {
    const seed = Number(process.env["TRAPLINE_SEED"] ?? Date.now() % 1e6);
    t.diagnostic(`TRAPLINE_SEED=${String(seed)}`);
    const random = new Random(seed);
    for (let round = 0; round < 20; round++) {
      const length = 1 + random.below(80);
      const text = Array.from({ length }, () => AWKWARD[random.below(AWKWARD.length)] ?? "").join("");
      assert.equal((await machine.run(`printf %s ${quoted(text)}`)).output, text, JSON.stringify(text));
    }
  });

  test("what no shell can be given is refused with a sentence, and the next one is taken", async () => {
    const refused = (command: string, sentence: RegExp): Promise<void> =>
      assert.rejects(
        machine.run(command),
        (error) => error instanceof TargetError && sentence.test(error.message) && error.remedy !== undefined,
      );
    await refused(
      `: ${"x".repeat(131_072)}`,
      /^the guest's command has 131074 bytes, and a shell takes no more than 131071$/,
    );
    await refused("echo \0", /^the guest's command has a zero byte/);
    assert.equal((await machine.run("echo next")).output, "next\n");
  });
});
