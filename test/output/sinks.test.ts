import assert from "node:assert/strict";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DescriptorWriter } from "../../src/output/descriptor-writer.js";
import { JsonSink } from "../../src/output/json-sink.js";
import { OutputError } from "../../src/output/output-error.js";
import type { SessionReport } from "../../src/output/report.js";
import type { Sink } from "../../src/output/sink.js";
import { TextSink } from "../../src/output/text-sink.js";
import { fromText } from "../../src/runtime/byte-string.js";

const REPORT: SessionReport = {
  probes: [
    {
      point: "begin",
      tier: "trap",
      hits: 1,
      missed: 0,
      retries: 0,
      fencedFaults: 0,
      handlerFaults: 1,
      instructionFaults: 0,
    },
  ],
  errors: 1,
  skipped: 0,
  failed: true,
  target: { kind: "exited", status: 2 },
};

function tell(sink: Sink): void {
  sink.begin({ script: "t.stp", probes: 1 });
  sink.print("a\xff\n");
  sink.log("logged");
  sink.warning(fromText("schön"));
  sink.error("division by 0 near operator '/' at t.stp:1:2", "begin");
  sink.print("b");
  sink.targetExit(7, { kind: "exited", status: 2 });
  sink.end(REPORT);
  sink.flushIfDue();
  sink.flush();
  sink.close();
}

/** What a sink writes to its two streams, as bytes. */
function written(
  make: (output: DescriptorWriter, messages: DescriptorWriter) => Sink | null,
): readonly [string, string] {
  const folder = mkdtempSync(join(tmpdir(), "trapline-"));
  try {
    const paths = [join(folder, "output"), join(folder, "messages")] as const;
    const writer = (path: string): DescriptorWriter =>
      new DescriptorWriter(openSync(path, "w"), { name: path, owned: true });
    const messages = writer(paths[1]);
    const sink = make(writer(paths[0]), messages);
    if (sink !== null) tell(sink);
    return [readFileSync(paths[0], "latin1"), readFileSync(paths[1], "latin1")];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const MESSAGES = [
  "logged",
  `WARNING: ${fromText("schön")}`,
  "ERROR: division by 0 near operator '/' at t.stp:1:2",
  "WARNING: probe begin: 1 of 1 hit cancelled by a handler fault",
  "WARNING: Child process exited with status 2",
  "WARNING: Number of errors: 1, skipped probes: 0",
  "Pass 5: run failed.  [man error::pass5]",
  "",
].join("\n");

test("text: the script's output is all there is on one stream, messages are on the other", () => {
  const [output, messages] = written(
    (output, messages) => new TextSink({ output, messages, table: false, quiet: false, verbose: false }),
  );
  assert.equal(output, "a\xff\nb");
  assert.equal(messages, MESSAGES);
});

test("text: -t adds the table, -w takes warnings away but not errors", () => {
  const [output, messages] = written(
    (output, messages) => new TextSink({ output, messages, table: true, quiet: true, verbose: false }),
  );
  assert.match(output, /^a\xff\nb\n----- probe hit report:\ntier /);
  assert.equal(
    messages,
    MESSAGES.split("\n")
      .filter((line) => !line.startsWith("WARNING: "))
      .join("\n"),
  );
});

test("text: a warning is given once, with -v each time", () => {
  for (const verbose of [false, true]) {
    const [, messages] = written((output, messages) => {
      const sink = new TextSink({ output, messages, table: false, quiet: false, verbose });
      for (let i = 0; i < 3; i++) sink.warning(fromText("schön"));
      return sink;
    });
    assert.equal(messages.split("schÃ¶n").length - 1, verbose ? 4 : 1);
  }
});

test("text: where the output is broken, messages are still given", () => {
  const [, messages] = written((_, messages) => {
    const output = new DescriptorWriter(openSync("/dev/full", "w"), { name: "/dev/full", owned: true });
    const sink: Sink = new TextSink({ output, messages, table: true, quiet: false, verbose: false });
    sink.print("x");
    assert.throws(() => {
      sink.error("first", undefined);
    }, OutputError);
    sink.error("second", undefined);
    sink.end(REPORT);
    sink.flush();
    sink.close();
    return null;
  });
  assert.match(messages, /^ERROR: first\nERROR: second\nWARNING: [^]*\nPass 5: run failed\./);
});

test("JSON: one event a line, in order, bytes kept", () => {
  const [output, messages] = written((output, messages) => {
    messages.close();
    return new JsonSink(output);
  });
  assert.equal(messages, "");
  assert.ok(output.endsWith("\n"));
  const events = output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    events.map((event) => event["kind"]),
    ["begin", "print", "log", "warning", "error", "print", "target-exit", "probe", "handler-faults", "end"],
  );
  assert.deepEqual(events[0], { kind: "begin", format: 1, script: "t.stp", probes: 1 });
  assert.equal(fromText(String(events[1]?.["text"])), "a\xff\n");
  assert.match(output, /"text":"a\\udcff\\n"/);
  assert.deepEqual(events[4], {
    kind: "error",
    message: "division by 0 near operator '/' at t.stp:1:2",
    probe: "begin",
  });
  assert.deepEqual(events[6], { kind: "target-exit", process: 7, status: { kind: "exited", status: 2 } });
  assert.deepEqual(events[8], {
    kind: "handler-faults",
    probe: "begin",
    source: null,
    hits: 1,
    fenced: 0,
    cancelled: 1,
    first: null,
    disarmed: null,
  });
  assert.deepEqual(events[9], {
    kind: "end",
    failed: true,
    errors: 1,
    skipped: 0,
    target: { kind: "exited", status: 2 },
  });
});
