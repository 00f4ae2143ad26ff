// Every function of a program and of libc is counted, and the program must not notice. An engine that
// never fires is transparent too: the armed share and the hits have lower bounds.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { needs } from "../support/needs.js";
import { bare, probed } from "./session.js";

const LEAST_ARMED = 0.95;
const LEAST_HITS = 100_000;

let folder = "";
let totalHits = 0;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "trapline-transparency-"));
  const lines = Array.from({ length: 100_000 }, (_, index) => `${String((index * 7919) % 100_003)} line\n`);
  writeFileSync(join(folder, "lines"), lines.join(""));
  const tree = join(folder, "tree");
  for (let branch = 0; branch < 40; branch++) {
    mkdirSync(join(tree, `branch-${String(branch)}`), { recursive: true });
    for (let leaf = 0; leaf < 20; leaf++) {
      writeFileSync(
        join(tree, `branch-${String(branch)}`, `leaf-${String(leaf)}`),
        lines.slice(0, leaf * 3).join(""),
      );
    }
  }
  writeFileSync(
    join(folder, "pipes.sh"),
    `set -e
for i in 1 2 3 4 5; do echo "$i $((i * i))" | cat | tr 0-9 a-j; done
f() { local n=$1; [ "$n" -le 0 ] || { printf '%s,' "$n"; f $((n - 1)); }; }
f 50; echo
grep -c 7 ${join(folder, "lines")} | sed s/^/lines:/
(exit 3) || echo "status $?"
trap 'echo trapped' USR1; kill -USR1 $$
exit 7
`,
  );
  writeFileSync(
    join(folder, "words.pl"),
    `my %n; $n{$_ % 97} .= chr(65 + $_ % 26) for 1 .. 5000;
print join(" ", map { "$_=" . length $n{$_} } sort keys %n), "\\n";
print scalar(reverse join ",", sort { $b <=> $a } map { $_ ** 2 % 1009 } 1 .. 500), "\\n";
printf "%s %d\\n", (-e "/" ? "there" : "not there"), eval { die { code => 5 } } || $@->{code}; exit 4;
`,
  );
});

after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Each: the words of the command, given the folder. All are in PATH; the first is the one counted in. */
const PROGRAMS: Readonly<Record<string, (at: string) => string[]>> = {
  "ls -lR of a tree": (at) => ["ls", "-lR", join(at, "tree")],
  "sort of 100,000 lines": (at) => ["sort", join(at, "lines")],
  "bash with pipes": (at) => ["bash", join(at, "pipes.sh")],
  perl: (at) => ["perl", join(at, "words.pl")],
  "tar with gzip": (at) => [
    "tar",
    "-C",
    at,
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
    const command = commandIn(folder);
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
