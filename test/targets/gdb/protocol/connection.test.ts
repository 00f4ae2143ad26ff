// Real connections of every kind, to the model stub as a process of its own.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UsageError } from "../../../../src/base/errors.js";
import type { Address } from "../../../../src/base/address.js";
import { parseStubAddress } from "../../../../src/targets/gdb/protocol/address.js";
import { type ClientOptions, GdbClient } from "../../../../src/targets/gdb/protocol/client.js";
import { StubError, type StubErrorKind } from "../../../../src/targets/gdb/protocol/errors.js";
import { Line, Tape } from "./line.js";
import { Machine } from "./machine.js";
import { ModelStub, POOR } from "./model-stub.js";
import { PseudoTerminal } from "./pseudo-terminal.js";

const STUB = fileURLToPath(new URL("./stub-process.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "trapline-stub-"));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

const TIMES = { answerWithin: 1500, ackWithin: 300, quietFor: 50 };

/** @returns the process and, for tcp, its address */
async function stub(how: string, habit = ""): Promise<{ child: ChildProcess; where: string }> {
  const child = spawn(process.execPath, [STUB, how, habit], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  if (habit.startsWith("late:")) return { child, where: how };
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  return { child, where: how === "tcp" ? `127.0.0.1:${said.toString().trim()}` : how };
}

/** Reads and writes, and steps, through a connection. */
function work(where: string, options: ClientOptions = {}): void {
  using client = GdbClient.connect(where, { times: TIMES, ...options });
  const truth = new Machine();
  const into = new Uint8Array(8192);
  const at = 0x40_0000 as Address;
  for (let round = 0; round < 5; round++) {
    assert.equal(client.readMemory(at, into), into.length);
    assert.deepEqual(into, truth.read(at, into.length));
  }
  const [thread] = client.threads();
  assert.ok(thread !== undefined);
  client.resume([{ thread, how: "step" }]);
  const stop = client.waitStop(performance.now() + 2000);
  assert.equal(stop?.kind, "stopped");
  client.continueAll();
  assert.equal(client.waitStop(performance.now() + 50), undefined);
  client.interrupt();
  const interrupted = client.waitStop(performance.now() + 2000);
  assert.ok(interrupted?.kind === "stopped" && interrupted.signal === 2);
  client.detach(thread.process);
}

/** What using a connection throws in the end, and after how long. */
function failure(where: string, options: ClientOptions = {}): { error: StubError; ms: number } {
  const start = performance.now();
  try {
    using client = GdbClient.connect(where, { times: TIMES, ...options });
    for (let index = 0; index < 100; index++) client.threads();
  } catch (error) {
    assert.ok(error instanceof StubError, String(error));
    return { error, ms: performance.now() - start };
  }
  throw new Error("nothing failed");
}

test("TCP, and again after the connection was closed", async () => {
  const { where } = await stub("tcp");
  work(where);
  work(`tcp:${where}`);
  work(where.replace("127.0.0.1", "localhost"));
});

test("a stub that waits for its last answer to be acknowledged, as KGDB does, hears that before we are gone", () => {
  const line = new Line("a serial line", new Tape(new Uint8Array(0)), { ms: 0 });
  const stub = new ModelStub(new Machine(), POOR, (bytes) => {
    line.deliver(bytes);
  });
  let last = "";
  line.onWrite = (bytes) => {
    last = Buffer.from(bytes).toString("latin1");
    stub.receive(bytes);
  };
  const client = GdbClient.over(line, { times: TIMES });
  client.detach();
  client[Symbol.dispose]();
  assert.equal(last, "+");
});

test("a Unix socket, named as such or by its path", async () => {
  const path = join(folder, "socket");
  await stub(`unix:${path}`);
  work(`unix:${path}`);
  work(path);
});

test("a command that talks the protocol, which is ended with the connection", () => {
  work(`| exec ${process.execPath} ${STUB} stdio`);
  const client = GdbClient.connect(`| echo $$ >${folder}/pid; exec ${process.execPath} ${STUB} stdio`);
  const pid = readFileSync(`${folder}/pid`, "utf8").trim();
  assert.equal(client.threads().length, 3);
  client[Symbol.dispose]();
  const end = performance.now() + 10_000;
  // A zombie: nobody here has waited for it yet.
  const ended = (): boolean =>
    !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z");
  while (!ended()) assert.ok(performance.now() < end, "it lives on");
});

test("a serial line: raw, at any speed", () => {
  using terminal = PseudoTerminal.open();
  const { master } = terminal;
  const child = spawn(process.execPath, [STUB, "stdio"], { stdio: [master, master, "inherit"] });
  children.push(child);
  // What is written before anybody reads is kept.
  work(`${terminal.path},1234567`, { times: { ...TIMES, ackWithin: 5000, answerWithin: 20_000 } });
  child.kill("SIGKILL");
});

test("a stub that is only being started is waited for, as long as one likes", async () => {
  const path = join(folder, "late");
  await stub(`unix:${path}`, "late:300");
  const { error } = failure(`unix:${path}`);
  assert.equal(error.kind, "closed");
  work(`unix:${path}`, { appearsWithin: 20_000 });
});

const NOBODY: readonly (readonly [where: string, says: RegExp])[] = [
  ["127.0.0.1:1", /cannot connect to 127\.0\.0\.1:1: ECONNREFUSED/],
  [`unix:${folder}/nothing`, /ENOENT/],
  [`/${"x".repeat(200)}`, /ENOENT/],
  [`unix:/${"x".repeat(200)}`, /107 bytes/],
  ["/dev/null", /no serial line/],
  ["/dev/ttyXYZ", /ENOENT/],
  ["nobody.invalid:1234", /no address is known for nobody\.invalid/],
  ["| exit 3", /closed|EPIPE|ECONNRESET/],
];
for (const [where, says] of NOBODY) {
  test(`nobody is at ${where.slice(0, 30)}: a sentence says so`, () => {
    const { error } = failure(where);
    assert.equal(error.kind, "closed");
    assert.match(error.message, says);
  });
}

test("a file that is no device is told as such", () => {
  const path = join(folder, "file");
  writeFileSync(path, "");
  assert.match(failure(path).error.message, /no serial device and no socket/);
});

for (const text of [
  "",
  "nonsense",
  "|",
  "unix:",
  "host:99999",
  "host:0",
  "/dev/ttyS0,fast",
  "udp:host:1",
  "1234",
]) {
  test(`${JSON.stringify(text)} is no address, and what is one is told`, () => {
    assert.throws(() => parseStubAddress(text), UsageError);
  });
}

test("addresses are understood in all their forms", () => {
  assert.deepEqual(parseStubAddress(":1234"), { kind: "tcp", host: "localhost", port: 1234 });
  assert.deepEqual(parseStubAddress("tcp:[::1]:1234"), { kind: "tcp", host: "::1", port: 1234 });
  assert.deepEqual(parseStubAddress("/dev/ttyS0"), { kind: "serial", path: "/dev/ttyS0", baud: 115200 });
  assert.deepEqual(parseStubAddress("|gdbserver - x"), { kind: "pipe", command: "gdbserver - x" });
});

const BAD: readonly (readonly [habit: string, kind: StubErrorKind, ms: number])[] = [
  ["hangs", "silent", 1500],
  ["closes", "closed", 0],
  ["babbles", "silent", 1500],
];
for (const [habit, kind, ms] of BAD) {
  test(`a stub that ${habit}: an error of its kind, in bounded time`, async () => {
    const { where } = await stub("tcp", habit);
    const result = failure(where);
    assert.equal(result.error.kind, kind, result.error.message);
    assert.match(result.error.message, /^127\.0\.0\.1:\d+: the stub /);
    assert.ok(result.ms >= ms && result.ms < ms + 10_000, `${String(result.ms)} ms`);
  });
}

test("a stub that is killed while its target runs is noticed at once", async () => {
  const { child, where } = await stub("tcp");
  using client = GdbClient.connect(where, { times: TIMES });
  client.continueAll();
  child.kill("SIGKILL");
  const start = performance.now();
  assert.throws(
    () => client.waitStop(performance.now() + 20_000),
    (error) => error instanceof StubError && error.kind === "closed",
  );
  assert.ok(performance.now() - start < 10_000);
  assert.throws(
    () => client.threads(),
    (error) => error === client.broken,
  );
});
