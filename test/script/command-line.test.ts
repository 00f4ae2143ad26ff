import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** The command as it is shipped; `npm test` builds it first. */
const COMMAND = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

function trapline(...args: readonly string[]): {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
} {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, out: stdout, err: stderr };
}

test("a script runs from -e, with its begin and end", () => {
  const { status, out } = trapline(
    "-e",
    'probe begin { println("é", 1) exit() } probe end { println("end") }',
  );
  assert.deepEqual({ status, out }, { status: 0, out: "é1\nend\n" });
});

test("a script runs from a file, with arguments and globals", () => {
  const folder = mkdtempSync(join(tmpdir(), "trapline-"));
  try {
    const file = join(folder, "a.stp");
    writeFileSync(file, "global g = 1\nprobe begin { println($1 + g, @2, $#) exit() }\n");
    const { status, out } = trapline("-G", "g=40", file, "2", "two");
    assert.deepEqual({ status, out }, { status: 0, out: "42two2\n" });
    writeFileSync(file, "probe begin {\n  x = 1 / 0\n}\n");
    const failed = trapline(file);
    assert.equal(failed.status, 1);
    assert.match(failed.err, new RegExp(`ERROR: division by 0 near operator '/' at ${file}:2:9`));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a script that is none fails with status 1 and the place", () => {
  const { status, err } = trapline("-e", "probe begin { x = }");
  assert.equal(status, 1);
  assert.match(
    err,
    /parse error: expected value\n {8}saw: operator '\}' at <input>:1:19\n {5}source: probe begin \{ x = \}\n {31}\^/,
  );
});

test("-p1 to -p4 stop behind their pass, say what it made, and run nothing", () => {
  const script = 'global n\nprobe begin { x = n++ + 2; println("ran", x) exit() }';
  const passes = ["1", "2", "3", "4"].map((pass) => trapline(`-p${pass}`, "-e", script));
  for (const { status, out, err } of passes) {
    assert.deepEqual({ status, err }, { status: 0, err: "" });
    assert.doesNotMatch(out, /^ran/m);
  }
  assert.deepEqual(
    [passes[0]?.out, passes[1]?.out, passes[3]?.out],
    [
      '# parse tree dump\n# file <input>\nglobal n\nprobe begin {\n  x = ((n++) + 2);\n  println("ran", x);\n  exit();\n}\n',
      "# globals\nn:long\n# probes\nbegin\n  # locals\n  x:long\n",
      "handler 0, trap tier: begin at <input>:2:7\n",
    ],
  );
  assert.match(passes[2]?.out ?? "", /longs\[0\]/);
});

test("what -p1 prints is a script that means the same", () => {
  const script = 'function f(x) { return x * (2 + 3) . "" } probe begin { println(f(2)) exit() }';
  const printed = trapline("-p1", "-e", script).out;
  assert.equal(trapline("-p1", "-e", printed).out, printed);
  assert.equal(trapline("-e", printed).out, trapline("-e", script).out);
});

test("-p2 spells out what points matched, with the place in the file, and needs no target", () => {
  const script = 'probe post process("perl").function("mai[n]") { x = 1 println(x) } probe timer.s(1) {}';
  const { status, out } = trapline("-p2", "-e", script);
  assert.equal(status, 0);
  assert.match(
    out,
    /^# probes\npost process\("\/[^"]*perl[^"]*"\)\.function\("main"\) \/\* pc=0x[0-9a-f]+ \*\/ \/\* <- process\("perl"\)\.function\("mai\[n\]"\) \*\/\n {2}# locals\n {2}x:long\ntimer\.s\(1\)\n$/,
  );
  const four = trapline("-p4", "-e", 'probe process("perl").function("Perl_pp_*") {}');
  assert.match(
    four.out,
    /^handler 0, trap tier: process\("perl"\)\.function\("Perl_pp_\*"\) \(\d{3} points\) at <input>:1:7\n$/,
  );
});

test("each pass finds its own problems: -p1 takes what has no meaning, -p2 does not", () => {
  assert.equal(trapline("-p1", "-e", "probe begin { nosuch() }").status, 0);
  assert.equal(trapline("-p2", "-e", "probe begin { nosuch() }").status, 1);
  assert.equal(trapline("-p1", "-e", "probe begin { ").status, 1);
  assert.equal(trapline("-p1", "-e", "probe nosuch {}").status, 0);
  assert.match(trapline("-p2", "-e", "probe nosuch {}").err, /no component "nosuch" here/);
});

test("what is likely a slip of the author is warned of in pass 2, unless -w is given", () => {
  const script = "global wrong\nprobe begin { counter = 1; print(countre, counter) exit() }";
  const warnings = [
    "never-assigned local variable 'countre' (similar: counter): identifier 'countre' at <input>:2:34",
    "never-assigned global variable 'wrong': identifier 'wrong' at <input>:1:8",
  ];
  const lines = warnings.map((line) => `WARNING: ${line}\n`).join("");
  assert.deepEqual(trapline("-e", script), { status: 0, out: "01", err: lines });
  for (const pass of ["-p2", "-p3", "-p4"]) assert.equal(trapline(pass, "-e", script).err, lines);
  assert.equal(trapline("-p1", "-e", script).err, "");
  assert.deepEqual(trapline("-w", "-e", script), { status: 0, out: "01", err: "" });

  const events = (...words: readonly string[]): unknown[] =>
    trapline("--json", ...words, "-e", script)
      .out.trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { kind: string; message?: string }).message)
      .filter((message) => message !== undefined);
  assert.deepEqual(events(), warnings);
  assert.deepEqual(events("-w"), []);
});

test("the session fails at the first error, or when MAXERRORS are passed", () => {
  const script =
    'probe begin(1) { error("a") } probe begin(2) { error("b") } probe begin(3) { println("third") exit() } probe error { println("error") } probe end { println("end") }';
  const first = trapline("-e", script);
  assert.deepEqual({ status: first.status, out: first.out }, { status: 1, out: "error\n" });
  const tolerated = trapline("-D", "MAXERRORS=2", "-e", script);
  assert.deepEqual({ status: tolerated.status, out: tolerated.out }, { status: 0, out: "third\nend\n" });
  const suppressed = trapline("--suppress-handler-errors", "-e", script);
  assert.deepEqual({ status: suppressed.status, out: suppressed.out }, { status: 0, out: "third\nend\n" });
});

test("handlers run on a process: counts come out in an array", () => {
  const script =
    'global n, calls; probe process.begin { n++ } probe syscall.write { calls["write"]++ } probe end { println(n, " ", calls["write"] >= 1) }';
  const { status, out } = trapline("-e", script, "-c", "/bin/echo hello");
  assert.equal(status, 0);
  assert.match(out, /hello/);
  assert.match(out, /^1 1$/m);
});
