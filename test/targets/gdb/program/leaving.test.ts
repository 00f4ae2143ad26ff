// How a program behind gdbserver is left: asked to, interrupted, killed; and stubs that are gone or hang.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { needs } from "../../../support/needs.js";
import { target } from "../../../support/programs.js";

const NEEDS = needs("gcc", "gdbserver");
const TRAPLINE = fileURLToPath(new URL("../../../../../dist/cli/main.js", import.meta.url));
const SCRIPT = `global hits
  probe process.function("beat") { hits++ }
  probe process.function("rest").return { hits++ }
  probe post process.function("the_beat") { hits++ }
  probe end { println(hits > 100) }`;

const folder = mkdtempSync(join(tmpdir(), "trapline-leaving-"));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

interface Served {
  readonly server: ChildProcess;
  readonly where: string;
  /** The program's. */
  readonly pid: number;
  /** Where the program's words go. */
  readonly output: string;
}

let number = 0;

/** steady.c behind gdbserver, started by it or attached to. */
async function serve(how: "started" | "attached", ...options: readonly string[]): Promise<Served> {
  const output = join(folder, `output-${String(number++)}`);
  const command = [target("steady"), "3", `>${output}`];
  let attach = ["127.0.0.1:0", ...command];
  if (how === "attached") {
    const program = spawn(command[0] ?? "", command.slice(1), { stdio: "ignore" });
    children.push(program);
    await setTimeout(200);
    attach = ["--attach", "127.0.0.1:0", String(program.pid)];
  }
  const server = spawn("gdbserver", [...options, ...attach], { stdio: ["ignore", "ignore", "pipe"] });
  children.push(server);
  let pid = 0;
  let port = 0;
  for await (const line of createInterface({ input: server.stderr })) {
    pid = Number(/pid = (\d+)/.exec(line)?.[1] ?? pid);
    port = Number(/Listening on port (\d+)/.exec(line)?.[1] ?? port);
    if (port !== 0) break;
  }
  server.stderr.resume();
  return { server, where: `127.0.0.1:${String(port)}`, pid, output };
}

interface Session {
  readonly child: ChildProcess;
  readonly ended: Promise<{ status: number | null; stdout: string; stderr: string }>;
}

/** Another script: what the first has armed and this does not is to be taken out. */
const OTHER = `global hits
  probe process.function("rest") { hits++ }
  probe end { println(hits > 100) }`;

function trace(where: string, ...options: readonly string[]): Session {
  return traceWith(SCRIPT, where, ...options);
}

function traceWith(script: string, where: string, ...options: readonly string[]): Session {
  const child = spawn(process.execPath, [TRAPLINE, "-e", script, "--gdb", where, ...options]);
  children.push(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => (stderr += bytes.toString()));
  const ended = once(child, "close").then(([status]) => ({
    status: status as number | null,
    stdout,
    stderr,
  }));
  return { child, ended };
}

const status = (pid: number): string => readFileSync(`/proc/${String(pid)}/status`, "latin1");

/** Text of the program and of its libraries as it is in memory, without what is writable. */
function textOf(pid: number): string {
  const memory = openSync(`/proc/${String(pid)}/mem`, "r");
  const hashes: string[] = [];
  for (const line of readFileSync(`/proc/${String(pid)}/maps`, "latin1").split("\n")) {
    const [range = "", rights = "", , , , path = ""] = line.split(/\s+/);
    if (!rights.includes("x") || !path.startsWith("/")) continue;
    const [start = 0, end = 0] = range.split("-").map((each) => Number.parseInt(each, 16));
    const bytes = Buffer.alloc(end - start);
    readSync(memory, bytes, 0, bytes.length, start);
    hashes.push(`${path} ${bytes.toString("base64")}`);
  }
  return hashes.join("\n");
}

const cpuTime = (pid: number): number =>
  Number(
    readFileSync(`/proc/${String(pid)}/stat`, "latin1")
      .split(") ")[1]
      ?.split(" ")[11],
  );

/** It runs, untraced, in its own text; ends as it would; and counted nothing wrong. */
async function runsUnharmed({ pid, output }: Served, text: string): Promise<void> {
  assert.match(status(pid), /^TracerPid:\t0$/m);
  assert.match(status(pid), /^State:\t[RS]/m);
  assert.equal(textOf(pid), text, "its text is what it was");
  const before = cpuTime(pid);
  const end = performance.now() + 20_000;
  while (cpuTime(pid) === before) {
    assert.ok(performance.now() < end, "it does not run");
    await setTimeout(50);
  }
  process.kill(pid, "SIGTERM");
  while (!readFileSync(output, "latin1").includes("\n")) {
    assert.ok(performance.now() < end, "it does not end");
    await setTimeout(50);
  }
  assert.equal(readFileSync(output, "latin1"), "every beat was right\n");
}

for (const how of ["started", "attached"] as const) {
  test(`a program that gdbserver has ${how} runs on unharmed when the session ends`, NEEDS, async () => {
    const served = await serve(how, "--once");
    const bare = how === "attached" ? textOf(served.pid) : undefined;
    const { status, stdout, stderr } = await trace(served.where, "-T", "2").ended;
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: "1\n", stderr: "" });
    await runsUnharmed(served, bare ?? textOf(served.pid));
  });
}

test("interrupted from the keyboard, the session leaves the program unharmed", NEEDS, async () => {
  const served = await serve("attached", "--once");
  const bare = textOf(served.pid);
  const session = trace(served.where);
  await setTimeout(3000);
  session.child.kill("SIGINT");
  const { status, stdout } = await session.ended;
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "1\n" });
  await runsUnharmed(served, bare);
});

// While it connects, puts breakpoints in, makes the first copies of instructions, and long after.
for (const moment of [500, 900, 1200, 1600, 3000]) {
  test(
    `a tracer that is killed after ${String(moment)} ms: a session that ends at once lets the program go unharmed`,
    NEEDS,
    async () => {
      const served = await serve("attached");
      const bare = textOf(served.pid);
      const first = trace(served.where);
      await setTimeout(moment);
      first.child.kill("SIGKILL");
      await first.ended;
      const glance = await traceWith("probe begin { exit() }", served.where).ended;
      assert.deepEqual(glance, { status: 0, stdout: "", stderr: "" });
      await runsUnharmed(served, bare);
      served.server.kill("SIGKILL");
    },
  );
}

test("after a tracer that was killed another script finds nothing of the first", NEEDS, async () => {
  const served = await serve("attached");
  const bare = textOf(served.pid);
  const first = trace(served.where);
  await setTimeout(3000);
  first.child.kill("SIGKILL");
  await first.ended;
  const second = await traceWith(OTHER, served.where, "-T", "2").ended;
  assert.deepEqual(second, { status: 0, stdout: "1\n", stderr: "" });
  await runsUnharmed(served, bare);
  served.server.kill("SIGKILL");
});

test("a stub that is killed: the session says so, and ends", NEEDS, async () => {
  const served = await serve("started");
  const session = trace(served.where);
  await setTimeout(3000);
  served.server.kill("SIGKILL");
  const start = performance.now();
  const { status, stderr } = await session.ended;
  assert.equal(status, 2, stderr);
  assert.match(stderr, /127\.0\.0\.1:\d+: (the stub has closed the connection|the connection is lost)/);
  assert.ok(performance.now() - start < 10_000);
});

test("a stub that hangs: the session waits for it no longer than it says, and ends", NEEDS, async () => {
  const served = await serve("started");
  const session = trace(served.where, "-T", "3");
  await setTimeout(2500);
  served.server.kill("SIGSTOP");
  const start = performance.now();
  const { status, stderr } = await session.ended;
  served.server.kill("SIGKILL");
  assert.equal(status, 2, stderr);
  assert.match(stderr, /127\.0\.0\.1:\d+: the stub does not answer/);
  assert.ok(performance.now() - start < 40_000);
});

test("probes of ends, of which gdbserver does not tell in time, are warned of", NEEDS, async () => {
  const served = await serve("started", "--once");
  const script =
    "probe process.end { println(1) } probe process.thread.end { println(2) } probe begin { exit() }";
  const { status, stderr } = await traceWith(script, served.where).ended;
  assert.equal(status, 0);
  assert.equal(stderr.match(/end: is not hit: this target tells of a thread's end only when/g)?.length, 2);
  await runsUnharmed(served, textOf(served.pid));
});
