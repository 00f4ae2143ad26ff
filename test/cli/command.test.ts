import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MAIN = join(ROOT, "dist/cli/main.js");

interface Done {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function trapline(words: readonly string[], input = ""): Done {
  return spawnSync(process.execPath, [MAIN, ...words], { input, encoding: "utf8" });
}

const HELLO = 'probe begin { printf("hello %s\\n", @1) exit() }';

void test("the command says the version of its package", () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  assert.deepEqual(trapline(["--version"]).stdout, `trapline ${version}\n`);
});

void test("a usage error is one line on standard error and status 2", () => {
  const { status, stdout, stderr } = trapline(["--jsn"]);
  assert.deepEqual(
    [status, stdout, stderr],
    [2, "", "trapline: unknown option '--jsn'; did you mean --json?\n"],
  );
});

void test("a script comes from -e, a file, standard input, or is itself a command", () => {
  const folder = mkdtempSync(join(tmpdir(), "trapline-cli-"));
  try {
    const file = join(folder, "hello.stp");
    writeFileSync(file, `#!/usr/bin/env -S ${process.execPath} ${MAIN}\n${HELLO}\n`, { mode: 0o755 });
    assert.equal(trapline(["-e", HELLO, "text"]).stdout, "hello text\n");
    assert.equal(trapline([file, "file"]).stdout, "hello file\n");
    assert.equal(trapline(["-", "input"], HELLO).stdout, "hello input\n");
    assert.equal(spawnSync(file, ["command"], { encoding: "utf8" }).stdout, "hello command\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

void test("a script error gives 1, a target that is not there 2", () => {
  assert.equal(trapline(["-e", 'probe begin { error("no") }']).status, 1);
  assert.equal(trapline(["-e", "probe begin {}", "-x", "2147483647"]).status, 2);
});

void test("nobody reading standard error or the help is harmless", () => {
  for (const words of ["--jsn 2>&1 >/dev/null", "--help"]) {
    // The reader is gone for certain before the command starts.
    const line = `{ sleep 0.2; "$0" "$1" ${words}; echo "$?" >&3; } 3>"$2" | true`;
    const folder = mkdtempSync(join(tmpdir(), "trapline-cli-"));
    try {
      const file = join(folder, "status");
      spawnSync("bash", ["-c", line, process.execPath, MAIN, file]);
      assert.equal(readFileSync(file, "utf8"), words === "--help" ? "0\n" : "2\n", words);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
});

void test("a device that takes no help is an error", () => {
  const full = openSync("/dev/full", "w");
  try {
    assert.notEqual(
      spawnSync(process.execPath, [MAIN, "--help"], { stdio: ["ignore", full, "pipe"] }).status,
      0,
    );
  } finally {
    closeSync(full);
  }
});

void test("help and version load no native code", () => {
  for (const word of ["--help", "--version"]) {
    const preload =
      "data:text/javascript,process.on('exit', () => { if (process.report.getReport().sharedObjects.some((f) => /koffi/.test(f))) process.exitCode = 77; })";
    const done = spawnSync(process.execPath, ["--import", preload, MAIN, word], { encoding: "utf8" });
    assert.equal(done.status, 0, done.stderr);
  }
});

void test("the doctor tries what it says, here", () => {
  const { status, stdout } = trapline(["doctor"]);
  assert.equal(status, 0, stdout);
  assert.match(stdout, /^ok {3}tracing: tried on a child, it works$/m);
});

/** Starts an endless session, sends the signals once it runs, and gives what it printed and its status. */
async function interrupted(
  script: string,
  signals: readonly NodeJS.Signals[],
): Promise<[string, number | null]> {
  const child = spawn(process.execPath, [MAIN, "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    if (printed === "") for (const signal of signals) child.kill(signal);
    printed += text;
  });
  const [status] = (await once(child, "close")) as [number | null];
  return [printed, status];
}

const ENDLESS = 'probe timer.ms(50) { println("on") } probe end { println("ended") }';

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  void test(`${signal} ends a session as exit() does`, { timeout: 20_000 }, async () => {
    const [printed, status] = await interrupted(ENDLESS, [signal]);
    assert.match(printed, /^(on\n)+ended\n$/);
    assert.equal(status, 0);
  });
}
