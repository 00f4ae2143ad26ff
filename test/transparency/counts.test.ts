// What a deterministic program calls, gdb counts by itself; we must count the same.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { needs } from "../support/needs.js";
import { probed } from "./session.js";

const PROGRAM = `my @names = map { sprintf "TRAPLINE_%03d", $_ } 1 .. 300;
$ENV{$_} = length $_ for @names;
delete $ENV{$_} for @names[0 .. 99];
my $sum = 0; $sum += getppid() > 0 for 1 .. 250;
opendir(my $folder, "/proc/self/fd") or die; closedir $folder;
print "$sum\\n";
`;
const FUNCTIONS = [
  "getppid",
  "opendir",
  "closedir",
  "setlocale",
  "Perl_newSVpvn",
  "Perl_sv_setpvn",
  "perl_run",
  "Perl_pp_print",
];
/** Those of perl itself; the others are in libc. */
const inProgram = (name: string): boolean => /^perl_/i.test(name);

test("hits are as many as gdb counts, function by function", needs("perl", "gdb"), () => {
  const folder = mkdtempSync(join(tmpdir(), "trapline-counts-"));
  try {
    const file = join(folder, "program.pl");
    writeFileSync(file, PROGRAM);
    const ours = countedByUs(["perl", file]);
    const theirs = countedByGdb(["perl", file], join(folder, "commands"));
    assert.deepEqual(ours, theirs);
    assert.equal(ours["getppid"], 250);
    assert.ok((ours["Perl_newSVpvn"] ?? 0) > 10, JSON.stringify(ours));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function countedByUs(command: readonly string[]): Record<string, number> {
  const probes = FUNCTIONS.map((name) => {
    const place = inProgram(name) ? `function("${name}")` : `library("libc.so.6").function("${name}")`;
    return `probe process("perl").${place} { n["${name}"]++ }`;
  });
  const script = `global n\n${probes.join("\n")}\nprobe end { foreach (name in n) printf("%s %d\\n", name, n[name]) }`;
  return countsOf(probed(script, command).printed, /^(\w+) (\d+)$/gm);
}

function countedByGdb(command: readonly string[], commands: string): Record<string, number> {
  const breakpoints = FUNCTIONS.map(
    (name, index) => `break *${name}\nignore ${String(index + 2)} 1000000000\n`,
  );
  // Counted from the program's entry on, its libraries loaded, as ours is.
  writeFileSync(
    commands,
    "set confirm off\nset debuginfod enabled off\nset width 0\nset breakpoint pending on\n" +
      `tbreak main\nrun\n${breakpoints.join("")}continue\ninfo breakpoints\n`,
  );
  const done = spawnSync("gdb", ["-q", "-nx", "-batch", "-x", commands, "--args", ...command], {
    encoding: "utf8",
  });
  assert.equal(done.status, 0, done.stderr);
  const counts: Record<string, number> = {};
  let name: string | undefined;
  for (const line of done.stdout.split("\n")) {
    const at = /^(\d+) +breakpoint/.exec(line);
    if (at !== null) name = FUNCTIONS[Number(at[1]) - 2];
    const times = /already hit (\d+) time/.exec(line);
    if (times !== null && name !== undefined) counts[name] = Number(times[1]);
  }
  return counts;
}

function countsOf(text: string, pattern: RegExp): Record<string, number> {
  return Object.fromEntries([...text.matchAll(pattern)].map((found) => [found[1] ?? "", Number(found[2])]));
}
