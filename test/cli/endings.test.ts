// How a session ends, and what is said of its target's end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants, readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { type Outcome, run, trapline } from "../support/programs.js";

const MAIN = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const PERL = needs("perl");

/** Says that it runs, and is then busy for so long that signals arrive meanwhile. */
const BUSY = `
  probe begin { warn("busy"); until = gettimeofday_ms() + 3000; while (gettimeofday_ms() < until) {} }
  probe end { println("ended") }`;

async function busyInterrupted(count: number, ...words: readonly string[]): Promise<Omit<Outcome, "signal">> {
  const limits = ["-D", "MAXACTION_INTERRUPTIBLE=2000000000"];
  const child = spawn(process.execPath, [MAIN, ...limits, ...words, "-e", BUSY], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("latin1").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("latin1").on("data", (text: string) => {
    stderr += text;
    if (stderr !== text) return;
    child.kill("SIGINT");
    // Two signals that are pending at once are one: the second is sent when the first was taken.
    if (count > 1)
      void (async () => {
        while (hasPendingInterrupt(child.pid)) await setTimeout(5);
        child.kill("SIGINT");
      })();
  });
  const [status] = (await once(child, "close")) as [number | null];
  return { stdout, stderr, status };
}

const SIGINT = 2n;

function hasPendingInterrupt(pid: number | undefined): boolean {
  const [, bits = "0"] = /^ShdPnd:\t(\w+)/m.exec(readFileSync(`/proc/${String(pid)}/status`, "latin1")) ?? [];
  return (BigInt(`0x${bits}`) & (1n << (SIGINT - 1n))) !== 0n;
}

test("Ctrl-C once ends a session as exit() does: its end probes run", { timeout: 30_000 }, async () => {
  assert.deepEqual(await busyInterrupted(1), { stdout: "ended\n", stderr: "WARNING: busy\n", status: 0 });
});

test(
  "Ctrl-C twice ends it at once: no end probe runs, and the target is left as it was",
  { timeout: 30_000 },
  async () => {
    assert.deepEqual(await busyInterrupted(2), { stdout: "", stderr: "WARNING: busy\n", status: 0 });

    const shell = spawn("sh", ["-c", "sleep 60 & echo $!; wait"], { stdio: ["ignore", "pipe", "inherit"] });
    const pid = Number(await once(shell.stdout, "data"));
    const gone = once(shell, "exit");
    try {
      const probed = await busyInterrupted(2, "-x", String(pid));
      assert.deepEqual(probed, { stdout: "", stderr: "WARNING: busy\n", status: 0 });
      const state = (): string => readFileSync(`/proc/${String(pid)}/status`, "latin1");
      for (let tries = 0; !/^State:\tS/m.test(state()) && tries < 500; tries++) await setTimeout(10);
      assert.match(state(), /^State:\tS.*^TracerPid:\t0$/ms);
    } finally {
      process.kill(pid);
      await gone;
    }
  },
);

test("-T ends a session as exit() does, with a target and without", PERL, () => {
  const script = 'probe timer.ms(10) { n++ } probe end { println("ended") }';
  const began = performance.now();
  assert.deepEqual(trapline("-T", "0.3", "-e", script), {
    stdout: "ended\n",
    stderr: "",
    status: 0,
    signal: null,
  });
  assert.ok(performance.now() - began >= 300);
  const target = "perl -e 'sleep 3'";
  const probed = trapline("-T", "0.3", "-e", script, "-c", target);
  assert.deepEqual(probed, { stdout: "ended\n", stderr: "", status: 0, signal: null });
});

const ENDS = [
  ["exit 0", "", { kind: "exited", status: 0 }],
  ["exit 3", "WARNING: Child process exited with status 3\n", { kind: "exited", status: 3 }],
  [
    "kill 9, $$",
    "WARNING: Child process exited with signal 9 (SIGKILL)\n",
    { kind: "killed", number: 9, signal: "SIGKILL", coreDumped: false },
  ],
] as const;

for (const [ending, line, status] of ENDS) {
  test(`a target that ends by '${ending}': the session's status is 0, the target's is said`, PERL, () => {
    const words = ["-e", "probe begin {}", "-c", `perl -e '${ending}'`];
    assert.deepEqual(trapline(...words), { stdout: "", stderr: line, status: 0, signal: null });
    assert.equal(trapline("-w", ...words).stderr, "");
    const json = trapline("--json", ...words);
    assert.deepEqual([json.stderr, json.status], ["", 0]);
    const events = json.stdout
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text) as { kind: string; status?: unknown; target?: unknown });
    assert.deepEqual(events.find(({ kind }) => kind === "target-exit")?.status, status);
    assert.deepEqual(events.at(-1)?.target, status);
  });
}

const STATUSES: readonly (readonly [what: string, status: number, words: readonly string[]])[] = [
  ["a script that ends itself", 0, ["-e", "probe begin { exit() }"]],
  ["a script that does not parse", 1, ["-e", "probe begin {"]],
  ["a script without a meaning", 1, ["-e", "probe begin { nosuch() }"]],
  ["a point that matches nothing", 1, ["-e", 'probe process.function("nosuch") {}', "-c", "sleep 1"]],
  ["too many errors", 1, ["-e", 'probe begin { error("no") }']],
  ["an option that is none", 2, ["--nosuch"]],
  ["a limit that is none", 2, ["-D", "MAXERRORS=many", "-e", "probe begin {}"]],
  ["no process to probe", 2, ["-e", 'probe process("sleep").function("main") {}']],
  ["a process that is not there", 2, ["-e", "probe begin {}", "-x", "2147483647"]],
  ["a command that is not there", 2, ["-e", "probe begin {}", "-c", "/nosuch/command"]],
  ["an output file that cannot be opened", 2, ["-o", "/nosuch/file", "-e", "probe begin {}"]],
];

test("the exit status tells what came of it: 0 done, 1 the script failed, 2 the command line or the target", () => {
  for (const [what, status, words] of STATUSES) {
    const outcome = trapline(...words);
    assert.equal(outcome.status, status, `${what}: ${outcome.stderr}`);
    assert.equal(outcome.stderr === "", status === 0, what);
  }
});

const FLAGS = "print grep /^flags/, do { local @ARGV = map qq(/proc/self/fdinfo/$_), 1, 2; <> }";

test("a target's pipes stay blocking, also when Node has warnings: they go to standard error", PERL, () => {
  const words = ["-e", "probe end {}", "-c", `perl -e 'sleep 1; ${FLAGS}'`];
  const preload = fileURLToPath(new URL("./warns.js", import.meta.url));
  const { stdout, stderr } = run(process.execPath, "--import", preload, MAIN, ...words);
  assert.match(stderr, /^(\(node:\d+\) Warning: of a test\n)+$/);
  const flags = [...stdout.matchAll(/^flags:\s*(\d+)$/gm)].map(([, octal = ""]) => Number.parseInt(octal, 8));
  assert.deepEqual(
    flags.map((bits) => bits & constants.O_NONBLOCK),
    [0, 0],
  );
});
