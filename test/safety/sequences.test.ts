// Restartable sequences (rseq(2)): the kernel drops one whose program counter it finds elsewhere.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { trapline } from "../support/programs.js";

const PROGRAM = `
  .text
  .globl main, inside, behind
  .type main, @function
  .type inside, @function
  .type behind, @function
main:
  xor %eax, %eax
inside:
  nop
  nop
  .size inside, . - inside
behind:
  ret
  .size behind, . - behind
  .size main, . - main
  .long 0x53053053
abort:
  jmp behind
  .section __rseq_cs, "aw", @progbits
  .balign 32
descriptor:
  .long 0, 0
  .quad inside, behind - inside, abort
  .section .note.GNU-stack, "", @progbits
`;

test("an instruction in a restartable sequence is refused by name", needs("gcc"), () => {
  const folder = mkdtempSync(join(tmpdir(), "trapline-sequences-"));
  try {
    const program = join(folder, "sequences");
    writeFileSync(`${program}.s`, PROGRAM);
    execFileSync("gcc", ["-o", program, `${program}.s`]);
    const own = `process(${JSON.stringify(program)})`;
    const script = `global n probe ${own}.function("inside")?, ${own}.function("behind") { n++ } probe end { println(n) }`;
    const { stdout, stderr, status } = trapline("--json", "-e", script, "-c", program);
    assert.equal(status, 0, stderr);
    const refused = stdout
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as { kind: string; places?: { refused: Record<string, number> } })
      .flatMap(({ places }) => Object.keys(places?.refused ?? {}));
    assert.deepEqual(refused, ["rseq-section"]);
    assert.match(stdout, /"text":"1/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
