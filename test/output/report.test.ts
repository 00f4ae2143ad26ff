import assert from "node:assert/strict";
import { test } from "node:test";
import { type ProbeReport, countsLine, faultWarnings, targetLine } from "../../src/output/report.js";
import { duration, probeTable } from "../../src/output/table.js";

const QUIET: ProbeReport = {
  point: 'process("/bin/ls").function("main")',
  source: "t.stp:3:1",
  tier: "trap",
  hits: 1,
  missed: 0,
  retries: 0,
  fencedFaults: 2,
  handlerFaults: 0,
  instructionFaults: 0,
  time: { min: 870, avg: 5_943, max: 12_300_000 },
};

const FAULTY: ProbeReport = {
  point: "kprobe:0x401136",
  tier: "trap",
  hits: 120,
  missed: 3,
  retries: 7,
  fencedFaults: 0,
  handlerFaults: 100,
  instructionFaults: 9,
  firstFault: {
    message: "read fault at 0x8 (unmapped)",
    near: "identifier 'user_string' at t.stp:3:20",
  },
  disarmed: "MAXCANCELLED",
};

test("quiet probes are not mentioned at the end, faulty ones once each, with where", () => {
  assert.deepEqual(faultWarnings([QUIET, FAULTY]), [
    "WARNING: probe kprobe:0x401136: 100 of 120 hits cancelled by a handler fault; " +
      "the first: read fault at 0x8 (unmapped) near identifier 'user_string' at t.stp:3:20",
    "WARNING: probe kprobe:0x401136: disarmed before the end (MAXCANCELLED)",
  ]);
  assert.deepEqual(faultWarnings([{ ...QUIET, handlerFaults: 1 }]), [
    'WARNING: probe process("/bin/ls").function("main") at t.stp:3:1: 1 of 1 hit cancelled by a handler fault',
  ]);
});

test("the table has a line a probe and SystemTap's heading", () => {
  assert.equal(
    probeTable([QUIET, FAULTY]),
    `----- probe hit report:
tier  hits  missed  retries  fenced  handler  instruction    min     avg     max  probe
trap     1       0        0       2        0            0  870ns  5.94us  12.3ms  process("/bin/ls").function("main") (t.stp:3:1)
trap   120       3        7       0      100            9      -       -       -  kprobe:0x401136
`,
  );
});

test("durations have three digits", () => {
  const cases: readonly (readonly [number | undefined, string])[] = [
    [undefined, "-"],
    [0, "0ns"],
    [999, "999ns"],
    [999.6, "1.00us"],
    [1_000, "1.00us"],
    [9_996, "10.0us"],
    [99_960, "100us"],
    [123_456, "123us"],
    [999_600, "1.00ms"],
    [5_000_000_000, "5.00s"],
    [90_000_000_000_000, "90000s"],
  ];
  for (const [nanoseconds, text] of cases) assert.equal(duration(nanoseconds), text);
});

test("the count at the end is SystemTap's, and there is none where all went well", () => {
  assert.equal(countsLine({ errors: 0, skipped: 0 }), undefined);
  assert.equal(countsLine({ errors: 1, skipped: 0 }), "WARNING: Number of errors: 1, skipped probes: 0");
  assert.equal(countsLine({ errors: 0, skipped: 4 }), "WARNING: Number of errors: 0, skipped probes: 4");
});

test("a target that ended well is not mentioned", () => {
  assert.equal(targetLine({ kind: "exited", status: 0 }), undefined);
  assert.equal(targetLine({ kind: "exited", status: 3 }), "WARNING: Child process exited with status 3");
  assert.equal(
    targetLine({ kind: "killed", signal: "SIGSEGV", number: 11, coreDumped: true }),
    "WARNING: Child process exited with signal 11 (SIGSEGV), core dumped",
  );
});
