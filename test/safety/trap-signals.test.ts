// A breakpoint is a SIGTRAP, which the kernel forces on threads that block or ignore it. The program must not see that.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { bare, probed } from "../transparency/session.js";

test(
  "SIGTRAP blocked, ignored, caught, waited for, read from a signalfd, inherited: as in a bare run, with every function probed",
  needs("gcc"),
  () => {
    const program = target("trap-blocked");
    const alone = bare([program]);
    const session = probed(
      `global n
     probe process("${program}").function("*")?, process("${program}").library("libc.so.6").function("*")? { n++ }
     probe end { printf("%d\\n", n) }`,
      [program],
    );
    assert.equal(session.output.toString(), alone.output.toString());
    assert.equal(session.ending, alone.ending);
    assert.ok(Number(session.printed) > 2000, `${session.printed} hits`);
    assert.match(alone.output.toString(), /^bye$/m);
  },
);

test("the same with a stop behind every instruction probed", needs("gcc"), () => {
  const program = target("trap-blocked");
  const alone = bare([program]);
  const session = probed(
    `global n
     probe post process("${program}").function("*")?, process("${program}").library("libc.so.6").function("*")? { n++ }
     probe end { printf("%d\\n", n) }`,
    [program],
  );
  assert.equal(session.output.toString(), alone.output.toString());
  assert.equal(session.ending, alone.ending);
  assert.ok(Number(session.printed) > 2000, `${session.printed} hits`);
});
