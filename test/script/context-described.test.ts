import assert from "node:assert/strict";
import { test } from "node:test";
import { describeHandlers, describeProgram } from "../../src/session/script/describe.js";
import type { KnownPoints } from "../../src/session/script/known-points.js";
import type { ResolvedPoint } from "../../src/session/script/resolved-points.js";
import { compileText } from "./run.js";
import { READ, TYPES } from "./sample-types.js";
import { code, codes, fn, INT, VOID } from "./types.js";

test("-p2 shows the context variables of each handler with their types", () => {
  const script =
    'probe kernel.function("f") { if (@defined($file->f_pos)) x = $file->f_path->dentry->d_name[x + 1]; print($$parms$, $count, $count) }';
  const none = { matchesOf: () => [] } as unknown as KnownPoints;
  assert.equal(
    describeProgram(compileText(script, { codes: codes(code("f", READ, { types: TYPES })) }), [], none),
    [
      "# probes",
      "  # locals",
      "  x:long",
      "  # context variables",
      "  $file->f_path->dentry->d_name[x + 1]:char",
      "  $$parms$:string",
      "  $count:size_t",
      "",
    ].join("\n"),
  );
});

test("-p2 and -p4 tell of each handler which of the matches it is for", () => {
  const all = codes(code("f", READ, { types: TYPES }), code("g", fn(VOID, { count: INT }), { types: TYPES }));
  const compiled = compileText('probe kernel.function("*") { print($count) }', { codes: all });
  const files = {
    matchesOf: () =>
      ["f", "g"].map((name) => ({ text: `kernel.function("${name}")`, place: undefined, code: name })),
  } as Partial<KnownPoints> as KnownPoints;
  const points = compiled.probes.map((probe, index) => ({
    point: {} as ResolvedPoint["point"],
    node: probe.points[0] as ResolvedPoint["node"],
    compiled: probe,
    codes: new Set([["f", "g"][index] ?? ""]),
    index,
  }));
  assert.deepEqual(describeProgram(compiled, points, files).trimEnd().split("\n"), [
    "# probes",
    'kernel.function("f") /* <- kernel.function("*") */',
    "  # context variables",
    "  $count:size_t",
    'kernel.function("g") /* <- kernel.function("*") */',
    "  # context variables",
    "  $count:int",
  ]);
  assert.equal(
    describeHandlers(points, files),
    [0, 1]
      .map((index) => `handler ${String(index)}, trap tier: kernel.function("*") at test.stp:1:7\n`)
      .join(""),
  );
});
