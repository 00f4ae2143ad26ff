// Every function of a program and of libc is counted, and the program must not notice. An engine that
// never fires is transparent too: the armed share and the hits have lower bounds.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { needs } from "../support/needs.js";
import { type Material, makeMaterial } from "./material.js";
import { bare, probed } from "./session.js";

const LEAST_ARMED = 0.95;
const LEAST_HITS = 100_000;

let folder = "";
let material: Material;
let totalHits = 0;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "trapline-transparency-"));
  material = makeMaterial(folder, 100_000);
});

after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Each: the words of the command. All are in PATH; the first is the one counted in. */
const PROGRAMS: Readonly<Record<string, (given: Material) => string[]>> = {
  "ls -lR of a tree": ({ tree }) => ["ls", "-lR", tree],
  "sort of 100,000 lines": ({ lines }) => ["sort", lines],
  "bash with pipes": ({ pipes }) => ["bash", pipes],
  perl: ({ words }) => ["perl", words],
  "tar with gzip": ({ tree }) => [
    "tar",
    "-C",
    join(tree, ".."),
    "--sort=name",
    "--mtime=@0",
    "--use-compress-program=gzip",
    "-cf",
    "-",
    "tree",
  ],
};

for (const [name, commandIn] of Object.entries(PROGRAMS)) {
  test(`${name}, every function counted: output and status are the bare ones`, needs("perl"), (t) => {
    const command = commandIn(material);
    const program = command[0] ?? "";
    const script = `global n
      probe process("${program}").function("*")?, process("${program}").library("libc.so.6").function("*") { n++ }
      probe end { printf("%d\\n", n) }`;
    const alone = bare(command);
    const session = probed(script, command);
    assert.equal(session.ending, alone.ending);
    assert.equal(session.errors, alone.errors);
    assert.ok(session.output.equals(alone.output), "the outputs differ");
    assert.ok(alone.output.length > 100, "the program printed what it should");

    const places = session.probes.flatMap((probe) => (probe.places === undefined ? [] : [probe.places]));
    const armed = places.reduce((sum, each) => sum + each.armed, 0);
    const refused = places
      .flatMap((each) => Object.values(each.refused))
      .reduce((sum, count) => sum + count, 0);
    assert.ok(armed > 2000, `${String(armed)} functions were armed`);
    assert.ok(
      armed / (armed + refused) >= LEAST_ARMED,
      `${String(armed)} armed, refused ${JSON.stringify(places)}`,
    );
    const hits = Number(session.printed);
    assert.ok(hits > 1000, `${String(hits)} hits`);
    totalHits += hits;
    t.diagnostic(`${String(armed)} armed, ${String(refused)} refused, ${String(hits)} hits`);
  });
}

test("the programs together had enough hits to tell", needs("perl"), () => {
  assert.ok(totalHits >= LEAST_HITS, `${String(totalHits)} hits in all`);
});
