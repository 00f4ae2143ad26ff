// However a program that uses the API ends, its target lives on, untouched.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needs } from "../support/needs.js";
import { run } from "../support/programs.js";
import { isFree, startSteady, STEADY, textOf, until } from "./aside.js";

const GCC = needs("gcc");
const OWNER = fileURLToPath(new URL("./owner.js", import.meta.url));

interface Departed {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** Lets an owner trace a running program in some way; and looks at the program after the owner has gone. */
async function depart(
  way: string,
  options: { readonly signal?: NodeJS.Signals; readonly flags?: readonly string[] } = {},
): Promise<Departed> {
  const program = await startSteady(3);
  const text = textOf(program.pid);
  const owner = spawn(process.execPath, [...(options.flags ?? []), OWNER, way, String(program.pid)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  owner.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
  const ended = once(owner, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const hit = once(owner.stdout, "data");
  await Promise.race([hit, ended]);
  if (options.signal !== undefined) owner.kill(options.signal);
  const [status, signal] = await ended;
  await until("the target is let go", () => isFree(program.pid));
  assert.equal(textOf(program.pid), text, "every byte of its text is back");
  assert.deepEqual(await program.end(), STEADY);
  return { status, signal, stderr };
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  test(`${signal} to a program that traces: it ends by the signal, the target lives on`, GCC, async () => {
    const departed = await depart("wait", { signal });
    assert.deepEqual(departed, { status: null, signal, stderr: "" });
  });
}

test("a program that listens for SIGINT itself decides what it means", GCC, async () => {
  const { status } = await depart("listen", { signal: "SIGINT" });
  assert.equal(status, 6);
});

for (const way of ["exit", "exit in a handler"]) {
  test(`process.exit (${way}) without a dispose: the target lives on`, GCC, async () => {
    assert.deepEqual(await depart(way), { status: 5, signal: null, stderr: "" });
  });
}

test("an exception that nobody catches in the program that traces: the target lives on", GCC, async () => {
  const { status, stderr } = await depart("throw");
  assert.equal(status, 1);
  assert.match(stderr, /nobody catches this/);
});

test("disposed while it is hit all the time: the target lives on, and Node ends by itself", GCC, async () => {
  assert.deepEqual(await depart("busy"), { status: 0, signal: null, stderr: "" });
});

test("process.exit while a program is being attached to, sooner or later: it lives on", GCC, async () => {
  for (const delay of [0, 30, 60, 90, 120])
    assert.deepEqual(await depart(`exit after ${String(delay)}`), { status: 5, signal: null, stderr: "" });
});

test("a target that has ended and was not disposed does not keep Node alive", () => {
  const { stdout, stderr, status } = run(process.execPath, OWNER, "run");
  assert.deepEqual({ stdout, stderr, status }, { stdout: "exited 5\n", stderr: "", status: 0 });
});

for (const way of ["abort in a handler", "hoard in a handler", "hoard"]) {
  test(`V8 ends the program that traces (${way}): the target lives on`, GCC, async () => {
    // So little memory that it is gone before the watchdog comes.
    const { signal } = await depart(way, { flags: ["--max-old-space-size=40"] });
    assert.equal(signal, "SIGABRT");
  });
}

test("a launched program's pipes stay blocking, as those of the program that launches it were", () => {
  const { stdout, stderr, status } = run(process.execPath, OWNER, "flags");
  assert.deepEqual({ stderr, status }, { stderr: "", status: 0 });
  assert.deepEqual(
    [...stdout.matchAll(/^flags:\s*(\d+)$/gm)].map(
      ([, flags]) => Number.parseInt(flags ?? "", 8) & constants.O_NONBLOCK,
    ),
    [0, 0],
  );
});
