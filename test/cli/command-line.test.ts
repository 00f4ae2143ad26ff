import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../src/base/errors.js";
import { parseCommandLine, type Request } from "../../src/cli/command-line.js";

type Session = Extract<Request, { kind: "session" }>;

function session(...words: string[]): Session {
  const request = parseCommandLine(words, "1.2.3");
  assert.equal(request.kind, "session");
  return request;
}

function refusal(...words: string[]): string {
  try {
    parseCommandLine(words, "1.2.3");
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    assert.doesNotMatch(error.message, /\n/, "a usage error is one line");
    return error.message;
  }
  return assert.fail(`${words.join(" ")} was taken`);
}

void test("a command line without options gives what stap takes for granted", () => {
  const { source, options } = session("a.stp", "one", "2");
  assert.deepEqual(source, { kind: "file", path: "a.stp" });
  assert.deepEqual(options, {
    scriptArguments: ["one", "2"],
    command: undefined,
    pid: undefined,
    kernel: undefined,
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
  });
});

void test("every option of a session arrives, its value apart or attached", () => {
  const { source, options } = session(
    ...[
      "-e",
      "probe begin {}",
      "-c",
      "ls -l",
      "-o",
      "out",
      "-D",
      "A=1",
      "-DB=x=y",
      "-DC",
      "-D",
      "A=2",
      "-Gg=-1",
    ],
    ...["-p4", "-vv", "-v", "-w", "-t", "-T", "2.5", "--strict-faults"],
  );
  assert.deepEqual(source, { kind: "text", text: "probe begin {}" });
  assert.equal(options.command, "ls -l");
  assert.equal(options.outputFile, "out");
  assert.deepEqual([...options.definitions].sort(), [
    ["A", "2"],
    ["B", "x=y"],
    ["C", ""],
  ]);
  assert.deepEqual([...options.globals], [["g", "-1"]]);
  assert.equal(options.lastPass, 4);
  assert.equal(options.verbosity, 3);
  assert.equal(options.suppressWarnings, true);
  assert.equal(options.timing, true);
  assert.equal(options.seconds, 2.5);
  assert.equal(options.strictFaults, true);
  assert.equal(session("-x", "4711", "s").options.pid, 4711);
  assert.equal(session("--json", "s").options.json, true);
  assert.equal(session("--suppress-handler-errors", "s").options.suppressHandlerErrors, true);
});

void test("options may stand behind the script, and -- ends them", () => {
  const { options, source } = session("a.stp", "one", "-c", "ls", "--", "-x", "--json");
  assert.equal(options.command, "ls");
  assert.equal(options.json, false);
  assert.deepEqual(source, { kind: "file", path: "a.stp" });
  assert.deepEqual(options.scriptArguments, ["one", "-x", "--json"]);
});

void test("with -e and -l the first operand is already an argument of the script", () => {
  assert.deepEqual(session("-e", "x", "doctor", "-").options.scriptArguments, ["doctor", "-"]);
  const { source, options } = session("-L", 'process.function("*")', "a");
  assert.deepEqual(source, { kind: "none" });
  assert.deepEqual(options.list, { pattern: 'process.function("*")', variables: true });
  assert.equal(options.lastPass, 2);
  assert.deepEqual(options.scriptArguments, ["a"]);
});

void test("a script of - is standard input, doctor as the first word is the doctor", () => {
  assert.deepEqual(session("-").source, { kind: "standard-input" });
  assert.deepEqual(parseCommandLine(["doctor"], ""), { kind: "doctor" });
  assert.deepEqual(session("./doctor").source, { kind: "file", path: "./doctor" });
});

void test("a kernel is chosen by its stub, by a lab, or by its image alone where nothing runs", () => {
  const kernelOf = (...words: string[]): unknown => session(...words, "s").options.kernel;
  assert.deepEqual(kernelOf("--gdb", "tcp::1234", "--kernel", "vmlinux"), {
    gdb: "tcp::1234",
    image: "vmlinux",
    lab: undefined,
  });
  assert.deepEqual(kernelOf("--lab", "-c", "ls"), {
    gdb: undefined,
    image: undefined,
    lab: { smp: 1, keep: false, modules: [] },
  });
  const words = ["--lab", "--kernel=a", "--smp", "4", "--keep", "--module", "xfs", "--module=nf_tables"];
  assert.deepEqual(kernelOf(...words), {
    gdb: undefined,
    image: "a",
    lab: { smp: 4, keep: true, modules: ["xfs", "nf_tables"] },
  });
  assert.deepEqual(session("-l", 'kernel.function("a")', "--kernel", "a").options.kernel, {
    gdb: undefined,
    image: "a",
    lab: undefined,
  });
});

void test("options about a kernel that need another, or have a bad value, say so", () => {
  assert.match(
    refusal("--kernel", "a", "s"),
    /--kernel names an image: boot it with --lab, or say with --gdb/,
  );
  assert.match(refusal("--smp", "2", "s"), /--smp is about the machine of --lab/);
  assert.match(refusal("--keep", "s"), /--keep is about the machine of --lab/);
  assert.match(refusal("--module", "xfs", "s"), /--module is about the machine of --lab/);
  assert.match(
    refusal("--lab", "--smp", "0", "s"),
    /--smp takes a number of processors from 1 to 255, not '0'/,
  );
  assert.match(refusal("--lab", "--smp", "256", "s"), /from 1 to 255, not '256'/);
  assert.match(refusal("--lab", "--module", "../x", "s"), /--module takes a module's name, not '..\/x'/);
  assert.match(refusal("--gdb", "a", "--gdb", "b", "s"), /--gdb is given twice/);
});

void test("--clean needs a stub and an image, and runs no script", () => {
  assert.deepEqual(parseCommandLine(["--gdb", "unix:a", "--kernel", "b", "--clean"], "1"), {
    kind: "clean",
    gdb: "unix:a",
    image: "b",
  });
  assert.match(refusal("--clean"), /--clean needs --gdb, .* and --kernel/);
  assert.match(refusal("--clean", "--gdb", "a"), /--clean needs --gdb/);
  assert.match(
    refusal("--clean", "--gdb", "a", "--kernel", "b", "-e", "x"),
    /--clean and a script contradict/,
  );
});

void test("contradictory options are both named", () => {
  for (const [words, both] of [
    [
      ["-c", "a", "-x", "3", "s"],
      ["-c", "-x"],
    ],
    [
      ["-l", "a", "-L", "a"],
      ["-l", "-L"],
    ],
    [
      ["-l", "a", "-e", "x"],
      ["-l", "-e"],
    ],
    [
      ["-L", "a", "-p", "3"],
      ["-L", "-p 3"],
    ],
    [
      ["--suppress-handler-errors", "--strict-faults", "s"],
      ["--suppress-handler-errors", "--strict-faults"],
    ],
    [
      ["--lab", "-x", "3", "s"],
      ["--lab", "-x"],
    ],
    [
      ["--lab", "--gdb", "a", "s"],
      ["--lab", "--gdb"],
    ],
    [
      ["--gdb", "a", "-c", "b", "s"],
      ["--gdb", "-c"],
    ],
    [
      ["-t", "--json", "s"],
      ["-t", "--json"],
    ],
  ] as const) {
    const message = refusal(...words);
    for (const name of both) assert.ok(message.includes(name), `${message} names ${name}`);
    assert.match(message, /contradict/);
  }
});

void test("what a session has only one of cannot be given twice", () => {
  for (const words of [
    ["-e", "a", "-e", "b"],
    ["-c", "a", "-c", "b", "s"],
    ["-x", "1", "-x", "2", "s"],
    ["-l", "a", "-l", "b"],
  ]) {
    assert.match(refusal(...words), /twice/);
  }
  assert.equal(
    session("-T", "1", "-T", "2", "s").options.seconds,
    2,
    "of a mere setting the last one counts",
  );
});

void test("a mistyped option is told the one that was meant", () => {
  assert.match(refusal("--jsn"), /did you mean --json\?/);
  assert.match(refusal("-jsn"), /did you mean --json\?/);
  assert.match(refusal("--strict"), /did you mean --strict-faults\?/);
  assert.match(refusal("--supress-handler-error"), /did you mean --suppress-handler-errors\?/);
  assert.match(refusal("-C"), /did you mean -c\?/);
  assert.doesNotMatch(refusal("--zzzzzz"), /did you mean/);
});

void test("an option of SystemTap's that we have not is told apart from a slip", () => {
  assert.match(refusal("-g", "s"), /SystemTap's option -g .*guru/);
});

void test("a value that cannot be one is refused with what could", () => {
  for (const pid of ["0", "-5", "foo", "1.5", "99999999999"])
    assert.match(refusal("-x", pid, "s"), /-x takes a process id/);
  for (const pass of ["0", "6", "x", "1.0"]) assert.match(refusal("-p", pass, "s"), /pass from 1 to 5/);
  for (const seconds of ["0", "-1", "x", "1e3", "", ".", "9999999999"])
    assert.match(refusal("-T", seconds, "s"), /-T takes seconds/);
  for (const definition of ["=3", "1A=3", ""]) assert.match(refusal("-D", definition, "s"), /NAME=VALUE/);
  for (const global of ["x", "=3"]) assert.match(refusal("-G", global, "s"), /VARIABLE=VALUE/);
  assert.match(refusal("--json=3", "s"), /--json takes no value/);
  assert.match(refusal("-c"), /-c needs a value/);
  assert.match(refusal(), /no script/);
  assert.match(refusal("doctor", "x"), /doctor takes no arguments/);
});
