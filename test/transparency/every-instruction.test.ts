// Every instruction of a program is probed, in every phase, and the program must not notice. The programs
// are those that look hardest at themselves: at their registers, flags, frames, children and returns.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";
import { bare, probed } from "./session.js";

interface Subject {
  readonly words: readonly string[];
  /** Functions that are left alone. */
  readonly without: readonly string[];
  /** Fewer handlers would mean that the probes were not where the program goes. */
  readonly leastHits: number;
}

const PROGRAMS: Readonly<Record<string, Subject>> = {
  // `go` hashes three pages a case; the others run in the program's own SIGTRAP handler.
  frames: { words: [], without: ["go", "handler", "shown"], leastHits: 5000 },
  faulty: { words: [], without: ["note_trap"], leastHits: 300 },
  returns: { words: [], without: [], leastHits: 1000 },
  calls: { words: [], without: [], leastHits: 500 },
  // `main` goes over six MiB byte by byte.
  moves: { words: [], without: ["main"], leastHits: 20 },
  threads: { words: ["8"], without: [], leastHits: 1000 },
};
const PHASES = ["pre", "fault", "pre, post, fault"];

/** Addresses of the instructions in `.text`, as in the file. */
function instructions(program: string, without: readonly string[]): string[] {
  const listing = execFileSync("objdump", ["-d", "-w", "-j", ".text", program], {
    encoding: "latin1",
    maxBuffer: 2 ** 28,
  });
  return listing
    .split(/^(?=[0-9a-f]+ <)/m)
    .filter((part) => !without.includes(/^[0-9a-f]+ <([^>]*)>/.exec(part)?.[1] ?? ""))
    .flatMap((part) => [...part.matchAll(/^ +([0-9a-f]+):\t(?:[0-9a-f]{2} )+ *\t/gm)])
    .map((found) => `0x${found[1] ?? ""}`);
}

for (const [name, { words, without, leastHits }] of Object.entries(PROGRAMS)) {
  for (const phases of PHASES) {
    test(
      `${name}, every instruction probed (${phases}): output and status are the bare ones`,
      needs("gcc", "g++"),
      (t) => {
        const program = target(name);
        const command = [program, ...words];
        const addresses = instructions(program, without);
        const points = addresses.map((address) => `process("${program}").statement(${address})?`);
        const alone = bare(command);
        const session = probed(
          `global n probe ${phases} ${points.join(", ")} { n++ } probe end { printf("%d\\n", n) }`,
          command,
        );
        assert.equal(session.output.toString("latin1"), alone.output.toString("latin1"));
        assert.equal(session.errors, alone.errors);
        assert.equal(session.ending, alone.ending);
        assert.ok(alone.output.length > 5, "the program printed what it should");

        const reports = session.probes.filter((probe) => probe.places !== undefined);
        const armed = reports.filter((probe) => (probe.places?.armed ?? 0) > 0).length;
        assert.ok(armed >= 0.95 * addresses.length, `${String(armed)} of ${String(addresses.length)} armed`);
        assert.ok(armed > 100, `${String(armed)} instructions`);
        const hits = reports.reduce((sum, probe) => sum + probe.hits, 0);
        assert.ok(hits >= leastHits, `${String(hits)} hits`);
        t.diagnostic(
          `${String(armed)} of ${String(addresses.length)} instructions armed, ${String(hits)} hits`,
        );
      },
    );
  }
}
