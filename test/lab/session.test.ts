// The command line and a kernel: one command boots it and probes it; what a killed one left is taken out.
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { LabMachine } from "../../src/targets/lab/machine.js";
import { NEEDS_LAB, bootedLab } from "../support/lab.js";

const CLI = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const PATIENCE = 180_000;

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

type Session = ChildProcessByStdio<null, Readable, Readable>;

function started(...words: string[]): Session {
  return spawn(process.execPath, [CLI, ...words], { stdio: ["ignore", "pipe", "pipe"] });
}

/** All that it says until it ends, which it must in bounded time. */
async function ended(session: Session): Promise<Ended> {
  const [out, error]: [Buffer[], Buffer[]] = [[], []];
  session.stdout.on("data", (bytes: Buffer) => out.push(bytes));
  session.stderr.on("data", (bytes: Buffer) => error.push(bytes));
  const late = new AbortController();
  void setTimeout(PATIENCE, undefined, { signal: late.signal }).then(
    () => session.kill("SIGKILL"),
    () => undefined,
  );
  const [status] = (await once(session, "close")) as [number | null];
  late.abort();
  const [stdout = "", stderr = ""] = [out, error].map((parts) => Buffer.concat(parts).toString());
  return { stdout, stderr, status };
}

async function trapline(...words: string[]): Promise<Ended> {
  return ended(started(...words));
}

/** Waits until a session has printed something. */
async function said(session: Session, text: string): Promise<void> {
  let all = "";
  await new Promise<void>((resolve, reject) => {
    session.stdout.on("data", (bytes: Buffer) => {
      all += bytes.toString();
      if (all.includes(text)) resolve();
    });
    session.once("close", () => {
      reject(new Error(`it ended, and had said only: ${all}`));
    });
  });
}

test(
  "one command boots a kernel, probes it, shows the guest's output and the report",
  NEEDS_LAB,
  async () => {
    const script = `global n
    probe kernel.function("vfs_read") { if (pid() == target()) n++ }
    probe end { printf("%d reads, %s\\n", n, n > 0 ? "probed" : "not probed") }`;
    const command = "cat /proc/uptime >/dev/null; echo from the guest; echo a message >&2; exit 3";
    const { stdout, stderr, status } = await trapline("--lab", "-e", script, "-c", command);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^from the guest\n[1-9][0-9]* reads, probed\n$/);
    assert.match(stderr, /^a message$/m);
  },
);

test(
  "a script that is none is told without a machine; a guest that panics is told as such",
  NEEDS_LAB,
  async () => {
    const wrong = await trapline("--lab", "-e", "probe begin {", "-c", "true");
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /parse error/);
    const script = 'probe kernel.function("vfs_open") { } probe end { println("ended") }';
    const panic = await trapline("--lab", "-e", script, "-c", "echo c >/proc/sysrq-trigger");
    assert.match(panic.stderr, /the guest's kernel panicked: sysrq triggered crash/);
    assert.match(panic.stdout, /^ended$/m);
  },
);

test(
  "a machine that is kept can be attached to by a second session, and ended as it was said",
  NEEDS_LAB,
  async () => {
    const first = await trapline("--lab", "--keep", "-e", "probe begin { exit() }");
    assert.equal(first.status, 0, first.stderr);
    const [, socket = "", image = ""] = /--gdb (unix:\S+) --kernel (\S+) -e/.exec(first.stderr) ?? [];
    const pid = Number(/kill ([0-9]+)/.exec(first.stderr)?.[1]);
    try {
      const script = 'probe kernel.function("*tick*") { println("tick"); exit() }';
      const second = await trapline("--gdb", socket, "--kernel", image, "-e", script, "-T", "60");
      assert.equal(second.status, 0, second.stderr);
      assert.match(second.stdout, /^tick$/m);
    } finally {
      process.kill(pid);
    }
    const end = Date.now() + PATIENCE;
    while (existsSync(`/proc/${String(pid)}/exe`)) {
      assert.ok(Date.now() < end, "the machine lives on");
      await setTimeout(50);
    }
  },
);

const WORK = "i=0; while [ $i -lt 40 ]; do cat /proc/version; i=$((i+1)); done | md5sum";

/** A machine whose command has begun under probes, and whose tracer has been killed amidst. */
async function killedAmidst(
  machine: LabMachine,
): Promise<{ readonly output: Uint8Array[]; readonly ended: Promise<number> }> {
  const output: Uint8Array[] = [];
  const command = await machine.load(WORK, {
    output: (bytes) => output.push(bytes),
    error: () => undefined,
  });
  const script = `global n
    probe kernel.function("vfs_*") { if (n++ == 200) println("amidst") }
    probe timer.ms(500) { println("armed") }`;
  const session = started("--gdb", `unix:${machine.stub}`, "--kernel", machine.kernel, "-e", script);
  const complaints: string[] = [];
  session.stderr.on("data", (bytes: Buffer) => complaints.push(bytes.toString()));
  try {
    await said(session, "armed");
    command.start();
  } finally {
    await setTimeout(1500);
    assert.equal(session.exitCode, null, complaints.join(""));
    session.kill("SIGKILL");
    await once(session, "close");
  }
  return { output, ended: command.ended };
}

test(
  "a tracer killed while its probes are in: --clean takes them out, and the guest's work goes on",
  NEEDS_LAB,
  async () => {
    await using machine = await bootedLab({ kaslr: true });
    const bare = await machine.run(WORK);
    const killed = await killedAmidst(machine);
    const cleaning = ["--gdb", `unix:${machine.stub}`, "--kernel", machine.kernel, "--clean"];
    const first = await trapline(...cleaning);
    assert.equal(first.status, 0, first.stderr + first.stdout);
    assert.match(
      first.stdout,
      /^breakpoints taken out: [1-9][0-9]*, exceptions led back: [0-9]+, processors put back: [0-9]+\n$/,
    );
    assert.equal(await killed.ended, bare.status);
    assert.equal(Buffer.concat(killed.output).toString(), bare.output);
    assert.deepEqual(await trapline(...cleaning), {
      stdout: "nothing was left in the kernel\n",
      stderr: "",
      status: 0,
    });
    assert.doesNotMatch((await machine.run("dmesg")).output, /int3|Oops|BUG|WARNING/);
  },
);
