// The tracer is killed at a random moment; the program must live on, and be right, over every armed location.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { target } from "../support/programs.js";

const CLI = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
/** Moments that are tried; `TRAPLINE_KILLS=200 npm test` tries that many. */
const KILLS = Number(process.env["TRAPLINE_KILLS"] ?? 20);
/** To try the same moments again. */
const SEED = Number(process.env["TRAPLINE_SEED"] ?? Date.now() % 2 ** 31);
/** While a session starts; milliseconds. */
const WHILE_STARTING = 800;
/** After the first breakpoint went in: it arms, and then hits. */
const WHILE_TRACING = 1500;
/** A program that has no breakpoint by then has ended. */
const LONGEST_START = 10_000;
/** How long a detaching session lives on before it is killed. */
const LATEST_WHILE_LEAVING = 60;
const PATIENCE = 60_000;
/** Length of the writable part of what a session maps for this: as long as nothing else in a program. */
const SHELTER_DATA = 0x401000;

const folder = mkdtempSync(join(tmpdir(), "trapline-killed-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A linear congruential generator: a seed names a run. Numerical Recipes, 7.1. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const PERL =
  "my $s = 0; for my $i (1 .. 4_000_000) { $s = ($s * 31 + length($i) + ord(substr($i, -1))) % 1_000_003 } print qq(perl $s\\n)";

/** Each runs for a second or so untraced. */
function programs(): Readonly<Record<string, { readonly words: readonly string[]; readonly name: string }>> {
  const survivors = target("survivors");
  const own = (mode: string, rounds: number): { words: string[]; name: string } => ({
    words: [survivors, mode, String(rounds)],
    name: survivors,
  });
  return {
    plain: own("plain", 3_000_000),
    threads: own("threads", 3_000_000),
    signals: own("signals", 8_000_000),
    processes: own("processes", 2_000_000),
    perl: { words: ["/usr/bin/perl", "-e", PERL], name: "/usr/bin/perl" },
  };
}

/** Every function, and for one in four sessions a stop behind each instruction too. */
function scriptFor(name: string, post: boolean): string {
  const places = `process("${name}").function("*")?, process("${name}").library("libc.so.6").function("*")?`;
  return `global n; probe ${places} { n++ }${post ? ` probe post process("${name}").function("*")? { n++ }` : ""}`;
}

interface Job {
  readonly shell: ChildProcess;
  readonly output: string;
}

/** Runs a program under a shell that notes its status; the shell itself is not traced. */
function start(words: readonly string[], output: string): Job {
  const script = 'out=$1; shift; "$@" >"$out" 2>&1 & echo $!; wait $!; echo "status $?" >>"$out"';
  const shell = spawn("/bin/sh", ["-c", script, "sh", output, ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { shell, output };
}

async function ended(output: string): Promise<string> {
  const until = Date.now() + PATIENCE;
  for (;;) {
    const text = existsSync(output) ? readFileSync(output, "latin1") : "";
    if (text.includes("status ")) return text;
    if (Date.now() > until) return `${text}(did not end)`;
    await setTimeout(10);
  }
}

function isSheltered(pid: number): boolean {
  try {
    // The one mapping of that size that a session makes.
    return readFileSync(`/proc/${String(pid)}/maps`, "latin1")
      .split("\n")
      .some((line) => {
        const match = /^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0 *$/.exec(line);
        return match !== null && parseInt(match[2] ?? "", 16) - parseInt(match[1] ?? "", 16) === SHELTER_DATA;
      });
  } catch {
    return false; // it has ended already
  }
}

async function armed(pid: number): Promise<void> {
  const until = Date.now() + LONGEST_START;
  while (!isSheltered(pid) && existsSync(`/proc/${String(pid)}`) && Date.now() < until) await setTimeout(2);
}

interface Verdict {
  readonly what: string;
  readonly got: string;
  readonly sheltered: boolean;
}

async function killOnce(index: number, seed: number): Promise<Verdict> {
  const random = randomFrom(seed);
  for (let i = 0; i < 4; i++) random();
  const all = Object.entries(programs());
  const [name, program] = all[Math.floor(random() * all.length)] as (typeof all)[number]; // index < length
  const script = scriptFor(program.name, random() < 0.25);
  const output = join(folder, `out-${String(index)}`);
  const leaves = random() < 0.2;
  const early = !leaves && random() < 0.2;
  const moment = random() * (early ? WHILE_STARTING : WHILE_TRACING);
  const { shell } = start(program.words, output);
  const pid = Number(await once(shell.stdout as NonNullable<typeof shell.stdout>, "data"));
  const session = spawn(process.execPath, [CLI, "-w", "-x", String(pid), "-e", script], {
    stdio: "ignore",
  });
  if (!early) await armed(pid);
  await setTimeout(moment);
  if (leaves) {
    session.kill("SIGINT");
    await setTimeout(random() * LATEST_WHILE_LEAVING);
  }
  const sheltered = isSheltered(pid);
  const over = session.exitCode !== null;
  session.kill("SIGKILL");
  const what = `${name}${leaves ? " while leaving" : early ? " while starting" : ""} at ${moment.toFixed(1)} ms${over ? " (over)" : ""}, seed ${String(seed)}`;
  return { what, got: `${name}: ${await ended(output)}`, sheltered };
}

test("a program lives on and is right when its tracer is killed at any moment", needs("perl"), async (t) => {
  const right = new Map<string, string>();
  for (const [name, { words }] of Object.entries(programs())) {
    const { output } = start(words, join(folder, `bare-${name}`));
    right.set(name, `${name}: ${await ended(output)}`);
  }
  t.diagnostic(`seed ${String(SEED)}`);
  let sheltered = 0;
  const harmed: string[] = [];
  for (let index = 0; index < KILLS; index++) {
    const verdict = await killOnce(index, (SEED + index * 7919) % 2 ** 31);
    if (verdict.sheltered) sheltered++;
    if (![...right.values()].includes(verdict.got)) harmed.push(`${verdict.what}: ${verdict.got}`);
  }
  t.diagnostic(`${String(KILLS)} killed, ${String(sheltered)} of them with breakpoints in the program`);
  assert.deepEqual(harmed, []);
  assert.ok(sheltered >= KILLS / 4, `${String(sheltered)} of ${String(KILLS)} were armed`);
});
