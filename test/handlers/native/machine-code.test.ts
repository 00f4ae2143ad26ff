import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder, DecoderOptions } from "iced-x86";
import { compileNative } from "../../../src/handlers/native/compile.js";
import { RED_ZONE } from "../../../src/handlers/native/emit.js";
import { layGlobals, PROBE, readStatistic } from "../../../src/handlers/native/global-layout.js";
import { needs } from "../../support/needs.js";
import { compileText } from "../../script/run.js";
import { bothOf, caseOf, limitsOf } from "./both.js";
import { pieceOf, runThreads, timePieces } from "./pieces.js";

const THREADS = 8;
const HITS = 100_000;

function instructionsOf(text: string): number {
  const { bytes, entry } = pieceOf(bothOf(text).handler);
  const decoder = new Decoder(64, bytes.subarray(entry), DecoderOptions.None);
  let count = 0;
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    assert.equal(instruction.isInvalid, false);
    instruction.free();
    count++;
  }
  decoder.free();
  return count;
}

test("simple handlers are a dozen instructions, the count of hits and the flags included", () => {
  assert.equal(RED_ZONE, 128);
  const sizes = [
    "global n probe begin { n++ }",
    'global n probe begin { if (register("rdi") == 7) n++ }',
    'global n probe begin { if (int_arg(1) > 100 && register("rsi") != 0) n += register("rdx") }',
  ].map(instructionsOf);
  assert.deepEqual(
    sizes.map((size) => size <= 16),
    [true, true, true],
    sizes.join(),
  );
  assert.ok((sizes[1] as number) <= 12, sizes.join());
  const { handler } = bothOf('global n probe begin { if (register("rdi") == 7) n++ }');
  assert.equal(handler.stackBytes, 8);
});

test("what is no machine code yet is refused by what it is and where it stands", () => {
  const why = (text: string): string => {
    const { program } = compileText(text);
    const native = compileNative(program, 0, layGlobals(program, limitsOf()));
    return native.kind === "not-native" ? native.why : "native";
  };
  assert.equal(why("probe begin { print(1) }"), "output, at identifier 'print' at test.stp:1:15");
  assert.match(why('global s probe begin { s = "a" }'), /^a string, at .*test\.stp:1:26$/);
  assert.match(why("global a probe begin { a[1] = 2 }"), /^the array 'a', at .*test\.stp:1:/);
  assert.match(
    why("global a, x probe begin { foreach (k in a) x += k }  probe end { a[1] = 1 }"),
    /^the array 'a'/,
  );
  assert.match(
    why("global x probe begin { x = pid() }"),
    /^the function 'pid', at identifier 'pid' at test\.stp:1:28$/,
  );
  assert.match(why('global x probe begin { x = register("eflags") }'), /^the register eflags, at/);
  assert.match(
    why("global x function f(n) { return n ? f(n - 1) : 0 } probe begin { x = f(3) }"),
    /^the recursion of 'f', at .*test\.stp:1:/,
  );
  assert.match(why("global s, x probe begin { s <<< 1 } probe end { x = @variance(s) }"), /variance/);
  assert.match(
    why(`global r probe begin { ${Array.from("abcdefghij", (name, index) => `${name} = register("r${8 + (index % 8)}") * 3;`).join(" ")}
      if (r) r = a + b; r = a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j }`),
    /^more values at a time than 64 bytes of stack hold$/,
  );
});

test("handlers that are more than one access hold the lock, and those that share a global with them", () => {
  const locking = (text: string, alone: readonly number[] = []): number[] => {
    const { program } = compileText(text);
    return [...layGlobals(program, limitsOf(), new Set(alone)).locking];
  };
  assert.deepEqual(locking("global n probe begin { n++ } probe end { n += 2 }"), []);
  assert.deepEqual(locking("global n, m probe begin { n++; m++ }"), []);
  assert.deepEqual(locking("global n, m, x probe begin { n++; m++ } probe end { x = n }"), [0, 1]);
  assert.deepEqual(locking("global n, m, x probe begin { n++; m++ } probe end { x = n }", [1]), []);
  assert.deepEqual(locking("global n probe begin { if (n < 5) n++ } probe end { n++ }"), [0, 1]);
  assert.deepEqual(locking("global n probe begin { n *= 2 }"), [0]);
  assert.deepEqual(locking("global n probe begin { n++ } probe end { print(n) }"), []);
  assert.deepEqual(locking("global n probe begin { for (i = 0; i < 2; i++) n = i }"), [0]);
});

test("eight threads count exactly, with locked instructions and under the lock", needs("gcc"), () => {
  const count = bothOf(
    'global n, s probe begin { n += 3; s <<< register("rdi") } probe never { print(@hist_log(s)) }',
  );
  assert.equal(count.layout.locking.size, 2, "a histogram that is printed is looked at");
  const free = bothOf('global n, s probe begin { n += 3; s <<< register("rdi") }');
  assert.equal(free.layout.locking.size, 0);
  for (const both of [count, free]) {
    const data = runThreads({ ...caseOf(both), hits: [] }, THREADS, HITS);
    const block = both.layout.probes[0] as number;
    const skipped = data.getBigInt64(block + PROBE.skipped, true);
    assert.equal(data.getBigInt64(block + PROBE.hits, true), BigInt(THREADS * HITS));
    if (both === free) assert.equal(skipped, 0n);
    const ran = BigInt(THREADS * HITS) - skipped;
    const [n, s] = [both.layout.globals.get("n"), both.layout.globals.get("s")];
    assert.ok(n?.kind === "long" && s?.kind === "statistic");
    assert.equal(data.getBigInt64(n.at, true), 3n * ran);
    const values = readStatistic(data, s);
    assert.equal(values.count, ran);
    if (skipped === 0n) assert.equal(values.sum, BigInt(THREADS) * ((BigInt(HITS) * BigInt(HITS - 1)) / 2n));
    assert.equal(data.getBigInt64(both.layout.lock, true), 0n);
  }
});

test("what a hit costs over a call of a function that does nothing is measured", needs("gcc"), (t) => {
  const named = {
    count: "global n probe begin { n++ }",
    "predicate and count, taken": 'global n probe begin { if (register("rdi") != -7) n++ }',
    "predicate and count, not taken": 'global n probe begin { if (register("rdi") == -7) n++ }',
    "sum and log histogram": 'global s probe begin { s <<< register("rdi") } ',
    "under the lock": "global n probe begin { if (n >= 0) n = n + 1 }",
    "a load of 4 bytes": 'global n probe begin { n += user_int32(register("rsp")) }',
  };
  const cases = Object.entries(named).map(([name, text]) => {
    const both = bothOf(name.includes("histogram") ? `${text} probe end { print(@hist_log(s)) }` : text);
    if (!name.includes("histogram")) return { ...caseOf(both), hits: [] };
    // The end runs alone.
    const layout = layGlobals(both.program, both.limits, new Set([1]));
    const handler = compileNative(both.program, 0, layout);
    assert.equal(handler.kind, "native");
    return { handler, layout, hits: [] };
  });
  const [bare = [], ...rows] = timePieces(cases, 7, 1_000_000);
  const base = Math.min(...bare);
  t.diagnostic(`bare call ${base.toFixed(1)} ns`);
  rows.forEach((row, index) => {
    const sorted = row.map((each) => each - base).sort((a, b) => a - b);
    const [least, median] = [sorted[0] as number, sorted[3] as number];
    t.diagnostic(
      `${Object.keys(named)[index] ?? ""}: ${least.toFixed(1)} ns, median ${median.toFixed(1)} ns`,
    );
    assert.ok(least < 1000, "something else than the handler was measured");
  });
});
