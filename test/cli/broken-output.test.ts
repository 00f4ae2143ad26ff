// Nobody reads, or nothing can be written: the target is not to know, and the exit status says it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";

const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const NEEDS = needs("perl");

/** Does a little of everything that is probed below, and says in a file that it came to its end unharmed. */
const PROGRAM = `
  $SIG{$_} = sub { die "hurt by @_" } for qw(SEGV TRAP ILL PIPE);
  my ($file, $status) = @ARGV;
  for (1 .. 20) { $sum += length(join ",", 1 .. $_); select undef, undef, undef, 0.01 }
  open my $out, ">", "$file.new"; print $out "sum $sum"; close $out; rename "$file.new", $file;
  exit $status;
`;
const DONE = "sum 466";

interface Done {
  /** Of the command, as the shell saw it. */
  readonly status: number | null;
  readonly messages: string;
  /** What the target wrote at its end. */
  readonly result: string;
}

/** A shell's line whose descriptor 4 is a pipe that nobody reads any more. */
const WITH_ORPHANED_PIPE = "exec 4> >(true); wait $!; ";

/** Runs the command line, and with it the program, through a shell that redirects its output; `"$E"` is a file. */
async function runInShell(words: readonly string[], redirections: string, status = 0): Promise<Done> {
  const folder = mkdtempSync(join(tmpdir(), "trapline-broken-"));
  try {
    const file = (name: string): string => join(folder, name);
    writeFileSync(file("program.pl"), PROGRAM);
    writeFileSync(file("messages"), "");
    const command = `perl ${file("program.pl")} ${file("result")} ${String(status)}`;
    const line = `${WITH_ORPHANED_PIPE} "$@" ${redirections}`;
    const done = spawnSync("bash", ["-c", line, "bash", process.execPath, MAIN, ...words, "-c", command], {
      env: { ...process.env, E: file("messages") },
      timeout: 60_000,
    });
    assert.equal(done.error, undefined);
    // A session that ends early leaves its target to run on.
    for (let tries = 0; !existsSync(file("result")) && tries < 1000; tries++) await setTimeout(10);
    const read = (name: string): string => readFileSync(file(name), "latin1");
    return { status: done.status, messages: read("messages"), result: read("result") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const FLOOD = `function flood() { for (i = 0; i < 90; i++) printf("%1000s\\n", "x") }`;
const POINTS = [
  'process("perl").function("Perl_pp_join")',
  'post process("perl").function("Perl_pp_join")',
  'process("perl").function("Perl_pp_join").return',
  "syscall.*",
  "post syscall.*",
  "process.begin",
  "process.end",
  "timer.ms(20)",
  "end",
];

for (const point of POINTS) {
  test(
    `a full disk ends the session in ${point} with its reason and status 1; the target runs on`,
    NEEDS,
    async () => {
      const script = `${FLOOD} probe ${point} { flood() }`;
      const { status, messages, result } = await runInShell(
        ["-o", "/dev/full", "-D", "MAXACTION=100000", "-e", script],
        '2>"$E"',
      );
      assert.match(
        messages,
        /^ERROR: cannot write to \/dev\/full: the device is full \(ENOSPC\); \d+ bytes are lost \(.*\)\n$/,
      );
      assert.deepEqual({ status, result }, { status: 1, result: DONE });
    },
  );
}

test("what a full disk takes only when the file is closed is said all the same", NEEDS, async () => {
  for (const json of [[], ["--json"]]) {
    const { status, messages, result } = await runInShell(
      ["-o", "/dev/full", ...json, "-e", 'probe begin { println("x") }'],
      '2>"$E"',
    );
    assert.match(messages, /^ERROR: cannot write to \/dev\/full: the device is full/);
    assert.deepEqual({ status, result }, { status: 1, result: DONE });
  }
});

test("a pipe whose reader is gone ends the session with status 1; the target runs on", NEEDS, async () => {
  const script = 'probe syscall.* { println("x") }';
  const { status, messages, result } = await runInShell(["-e", script], '>&4 2>"$E"');
  assert.match(messages, /^ERROR: cannot write to standard output: its reader has gone away \(EPIPE\); /);
  assert.deepEqual({ status, result }, { status: 1, result: DONE });
});

for (const [what, redirection] of [
  ["is a pipe without a reader", "2>&4"],
  ["is a full device", "2>/dev/full"],
  ["is closed", "2>&-"],
] as const) {
  test(`messages are lost where standard error ${what}: the session goes on`, NEEDS, async () => {
    const script = `
      global calls
      probe syscall.* { calls++; warn(sprint(calls)); log("logged") }
      probe process("perl").function("Perl_pp_join") { user_int8(8) }
      probe end { println(calls > 20) }`;
    const done = await runInShell(["-v", "-e", script], `${redirection} >"$E"`, 3);
    assert.deepEqual(done, { status: 0, messages: "1\n", result: DONE });
  });

  test(`the exit status tells what went wrong where standard error ${what}`, () => {
    const statusOf = (...words: readonly string[]): number | null =>
      spawnSync("bash", [
        "-c",
        `${WITH_ORPHANED_PIPE} "$@" ${redirection}`,
        "bash",
        process.execPath,
        MAIN,
        ...words,
      ]).status;
    assert.equal(statusOf("-e", 'probe begin { error("no") }'), 1);
    assert.equal(statusOf("-e", "probe begin { "), 1);
    assert.equal(statusOf("-e", "probe begin {}", "-x", "2147483647"), 2);
    assert.equal(statusOf("--nonsense"), 2);
  });
}
