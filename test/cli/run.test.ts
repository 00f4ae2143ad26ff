import assert from "node:assert/strict";
import { test } from "node:test";
import { TargetError, TraplineError, UsageError } from "../../src/base/errors.js";
import { run, type RunSession } from "../../src/cli/run.js";
import type { SessionOptions } from "../../src/session/options.js";
import { type Described, machine } from "./machines.js";

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly error: string;
  readonly sessions: SessionOptions[];
}

class ScriptFailed extends TraplineError {}

async function runWith(words: string[], session: RunSession, described: Described = {}): Promise<Outcome> {
  const sessions: SessionOptions[] = [];
  let [out, error] = ["", ""];
  const status = await run(words, {
    version: "1.2.3",
    machine: machine(described),
    interrupts: { onInterrupt: () => undefined },
    out: (text) => (out += text),
    error: (text) => (error += text),
    loadSession: async () =>
      Promise.resolve(async (options, interrupts) => {
        sessions.push(options);
        return session(options, interrupts);
      }),
    loadClean: async () =>
      Promise.resolve((gdb, image) => ({ lines: [`${gdb} ${image}`], isClean: image !== "unclear" })),
  });
  return { status, out, error, sessions };
}

const succeeds: RunSession = async () => Promise.resolve(0);

void test("the session gets the script, and its status is ours", async () => {
  const { status, sessions } = await runWith(["-e", "probe begin {}"], async () => Promise.resolve(1));
  assert.equal(status, 1);
  assert.deepEqual(
    sessions.map(({ script }) => script),
    [{ name: "<input>", text: "probe begin {}" }],
  );
});

void test("--clean says what it found, and fails where something is left", async () => {
  const clean = async (image: string): Promise<Outcome> =>
    runWith(["--clean", "--gdb", "unix:a", "--kernel", image], succeeds);
  const done = await clean("b");
  assert.deepEqual([done.status, done.out, done.sessions.length], [0, "unix:a b\n", 0]);
  assert.equal((await clean("unclear")).status, 1);
});

void test("errors of usage and target give 2, of the session 1, each in one line with its remedy", async () => {
  const failing = async (error: Error): Promise<Outcome> =>
    runWith(["-e", ""], async () => Promise.reject(error));
  const usage = await failing(new UsageError("bad\nword", { remedy: "a good one" }));
  assert.deepEqual([usage.status, usage.error], [2, "trapline: bad word (a good one)\n"]);
  assert.equal((await failing(new TargetError("no such process"))).status, 2);
  assert.equal((await failing(new ScriptFailed("it failed"))).status, 1);
  const bug = await failing(new RangeError("oops"));
  assert.equal(bug.status, 1);
  assert.match(bug.error, /a bug in trapline itself.*RangeError: oops\n\s+at /);
});

void test("on another system one sentence, before a session is loaded; help and version work all the same", async () => {
  for (const words of [["-e", "x"], ["doctor"]]) {
    const elsewhere = await runWith(words, succeeds, {
      platform: "darwin",
      architecture: "arm64",
      load: async () => Promise.reject(new Error("loaded")),
    });
    assert.equal(elsewhere.status, 2);
    assert.equal(
      elsewhere.error,
      "trapline: Trapline probes programs on Linux x86-64; this is darwin arm64\n",
    );
    assert.deepEqual(elsewhere.sessions, []);
  }
  const version = await runWith(["--version"], succeeds, { platform: "darwin" });
  assert.deepEqual([version.status, version.out, version.error], [0, "trapline 1.2.3\n", ""]);
});

void test("the doctor's status says whether probing is possible", async () => {
  assert.equal((await runWith(["doctor"], succeeds)).status, 0);
  assert.equal((await runWith(["doctor"], succeeds, { processors: 1 })).status, 0);
  assert.equal((await runWith(["doctor"], succeeds, { nodeVersion: "18.0.0" })).status, 2);
});

void test("a script that cannot be read says why, and what may have been meant", async () => {
  const error = async (word: string): Promise<string> => {
    const outcome = await runWith([word], succeeds);
    assert.equal(outcome.status, 2);
    return outcome.error;
  };
  assert.match(await error("/nowhere/a.stp"), /'\/nowhere\/a\.stp': no such file\n/);
  assert.match(await error("docter"), /did you mean 'trapline doctor'\?/);
  assert.match(await error("probe begin {}"), /goes behind -e/);
  assert.match(await error("/"), /directory/);
  assert.match(await error("/dev/zero"), /cannot read script '\/dev\/zero': it is longer than 16 MiB\n/);
});
