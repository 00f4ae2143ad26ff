import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { test } from "node:test";
import type { Sink } from "../../src/output/sink.js";
import { parseDefinitions } from "../../src/runtime/limits.js";
import { compile } from "../../src/script/compile.js";
import type { SessionOptions } from "../../src/session/options.js";
import { ProcessSubject } from "../../src/session/process/subject.js";
import { resolvePoints } from "../../src/session/script/resolved-points.js";
import { ScriptSession } from "../../src/session/script/script-session.js";
import { DOORBELL_BYTES } from "../../src/targets/linux/doorbell-words.js";

const OPTIONS: SessionOptions = {
  script: { name: "test.stp", text: 'probe begin {} probe process.function("main") {}' },
  scriptArguments: [],
  command: undefined,
  pid: undefined,
  outputFile: undefined,
  definitions: new Map(),
  globals: new Map(),
  lastPass: 5,
  verbosity: 0,
  suppressWarnings: false,
  list: undefined,
  suppressHandlerErrors: false,
  strictFaults: false,
  timing: false,
  seconds: undefined,
  json: false,
};

const nothing = (): void => undefined;
const SINK: Sink = {
  begin: nothing,
  print: nothing,
  log: nothing,
  warning: nothing,
  error: nothing,
  targetExit: nothing,
  end: nothing,
  flush: nothing,
  flushIfDue: nothing,
  close: nothing,
};

/** Session of a script on a process, in this very thread. */
function sessionOn(pid: number, sink: Sink): ScriptSession {
  const options = { ...OPTIONS, pid };
  const limits = parseDefinitions([]);
  const { name, text } = options.script;
  const compiled = compile({ name, text, arguments: [], limits, globals: new Map(), library: [] });
  const names = { target: undefined, resolve: (path: string) => path };
  const doorbell = new SharedArrayBuffer(DOORBELL_BYTES);
  const subject = new ProcessSubject(options, doorbell, names);
  using files = subject.points();
  const points = resolvePoints(compiled, files, { hasTarget: true });
  const outside = {
    doorbell,
    stopRequest: () => 0,
    commandStatus: () => undefined,
    idle: nothing,
    machine: () => Promise.reject(new Error("no lab was asked for")),
    armed: nothing,
  };
  return new ScriptSession(options, limits, compiled, points, subject, sink, outside, {
    say: nothing,
    progress: { isTerminal: false, write: nothing },
  });
}

/** A program that only sleeps, and is no child of this process: its stops are not taken by Node. */
async function sleeping(use: (pid: number) => Promise<void>): Promise<void> {
  const shell = spawn("sh", ["-c", "sleep 60 & echo $!; wait"], { stdio: ["ignore", "pipe", "inherit"] });
  const pid = Number(await once(shell.stdout, "data"));
  const ended = once(shell, "exit");
  try {
    await use(pid);
  } finally {
    process.kill(pid);
    await ended;
  }
}

function statusOf(pid: number): string {
  const text = readFileSync(`/proc/${String(pid)}/status`, "latin1");
  return `${/^State:\t(.)/m.exec(text)?.[1] ?? ""}${/^TracerPid:\t(\d+)/m.exec(text)?.[1] ?? ""}`;
}

/** It may still be on its way to sleep. */
async function sleepsUntraced(pid: number): Promise<void> {
  for (let tries = 0; statusOf(pid) !== "S0" && tries < 500; tries++) await setTimeout(10);
  assert.equal(statusOf(pid), "S0");
}

test("a session that fails while it begins leaves its target running and untraced", async () => {
  await sleeping(async (pid) => {
    const begin = (): never => {
      throw new Error("planted");
    };
    const session = sessionOn(pid, { ...SINK, begin });
    const handlers = session.compileHandlers();
    await assert.rejects(session.run(handlers), /^Error: planted$/);
    await sleepsUntraced(pid);
  });
});

test("handlers that cannot be made fail before the target is touched", async () => {
  await sleeping(async (pid) => {
    const session = sessionOn(pid, SINK);
    // What no script comes to: code that the back end does not know.
    const broken = { kind: "nonsense" } as unknown as never;
    const { compiled } = session as unknown as { compiled: { program: { handlers: { body: unknown[] }[] } } };
    compiled.program.handlers[0]?.body.push(broken);
    assert.throws(() => session.compileHandlers(), /nonsense/);
    await sleepsUntraced(pid);
  });
});
