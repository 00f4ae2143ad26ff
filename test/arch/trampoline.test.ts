import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, offsetBy } from "../../src/base/address.js";
import { trampolinePoint } from "../../src/arch/x86_64/trampoline/points.js";
import {
  BLOCK_REFUSALS,
  type BlockRefusal,
  planTrampoline,
  type TrampolinePlan,
} from "../../src/arch/x86_64/trampoline/trampoline.js";
import { blockAt } from "./trampoline-trials.js";

const AT = 0x40_1000 as Address;
const NEAR = 0x50_0000 as Address;

function planned(
  texts: readonly string[],
  probed = 0,
  hasShadowStack = false,
): TrampolinePlan | BlockRefusal {
  const instructions = texts.map((hex) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex")));
  return planTrampoline(blockAt(AT, instructions, probed, hasShadowStack));
}

function accepted(texts: readonly string[], probed = 0): TrampolinePlan {
  const plan = planned(texts, probed);
  assert.ok(plan.kind !== "refused", texts.join("; "));
  return plan;
}

const REFUSED: readonly (readonly [BlockRefusal["reason"], readonly string[], at: number, what: string])[] = [
  ["call-inside", ["90", "e8 00 01 00 00", "90"], 1, "a call with more behind it"],
  ["branch-inside", ["90", "90", "75 fd", "90"], 2, "a loop among the displaced instructions"],
  ["branch-inside", ["90", "eb 00", "90"], 1, "a jump to the next one"],
  ["branch-inside", ["90", "c7 f8 00 00 00 00", "90"], 1, "a transaction that is aborted to the next one"],
  ["sets-trap-flag", ["90", "9d"], 1, "popf"],
  ["does-not-decode", ["90", "06"], 1, "no instruction"],
  ["far-call", ["ff 18"], 0, "a far call"],
];

for (const [reason, texts, index, what] of REFUSED)
  void test(`a block is refused as ${reason}: ${what}`, () => {
    const plan = planned(texts);
    assert.ok(plan.kind === "refused");
    assert.equal(plan.reason, reason);
    const before = texts.slice(0, index).join("").replaceAll(" ", "").length / 2;
    assert.equal(plan.at, AT + before);
  });

void test("with a shadow stack no call is imitated", () => {
  const plan = planned(["90", "e8 00 01 00 00"], 0, true);
  assert.ok(plan.kind === "refused");
  assert.equal(plan.reason, "shadow-stack");
  assert.equal(planned(["90", "c3"], 0, true).kind, "trampoline-plan");
});

void test("every reason to refuse a block has a test", () => {
  const tested = new Set<string>([...REFUSED.map(([reason]) => reason), "shadow-stack"]);
  for (const reason of Object.keys(BLOCK_REFUSALS)) assert.ok(tested.has(reason), reason);
});

void test("a branch to the first instruction leaves the trampoline, for the jump", () => {
  const built = accepted(["90", "75 fd"], 1).build(NEAR, 0); // jne to the nop
  assert.ok(built.kind === "trampoline");
  const jcc = built.points.findLast((point) => point.kind === "before")?.offset as number;
  assert.deepEqual([...built.bytes.subarray(jcc, jcc + 2)], [0x0f, 0x85]);
  const view = new DataView(built.bytes.buffer, built.bytes.byteOffset);
  assert.equal(NEAR + jcc + 6 + view.getInt32(jcc + 2, true), AT);
});

void test("the parts stand in order: what is before the probe, the handler's room, the rest, the way back", () => {
  const built = accepted(["55", "48 89 e5", "53"], 1).build(NEAR, 9); // push rbp; mov rbp,rsp; push rbx
  assert.ok(built.kind === "trampoline");
  assert.equal(
    Buffer.from(built.bytes).toString("hex"),
    "55" + "488d642480" + "cc".repeat(9) + "488da42480000000" + "4889e5" + "53" + "e9e50ff0ff",
  );
  assert.deepEqual(built.handler, { start: 6, end: 15 });
  assert.deepEqual(built.entries, [0, 1, 26]);
  const means = (offset: number): unknown => {
    const point = trampolinePoint(built, offset);
    return (
      point && [point.kind, "at" in point ? point.at - AT : undefined, point.handlerRan, point.fault?.at]
    );
  };
  assert.deepEqual(means(0), ["before", 0, false, AT]);
  assert.deepEqual(means(1), ["before", 1, false, undefined]);
  assert.deepEqual(means(15), ["unfinished", undefined, true, undefined]);
  assert.deepEqual(means(23), ["before", 1, true, AT + 1]);
  assert.deepEqual(means(26), ["before", 4, true, AT + 4]);
  assert.deepEqual(means(27), ["after", 5, true, undefined]);
  assert.equal(means(7), undefined);
});

void test("where it can begin: all that its operands refer to is in reach, at both ends and not beyond", () => {
  // mov rax,[rip+0x7fff0000]; mov rbx,[rip-0x10000]
  const plan = accepted(["48 8b 05 00 00 ff 7f", "48 8b 1d 00 00 ff ff"]);
  const room = plan.room(40);
  const starts = plan.starts(room);
  assert.ok(starts !== undefined);
  for (const start of [starts.start, offsetBy(starts.end, -1)])
    assert.equal(plan.build(start, 40).kind, "trampoline");
  assert.equal(plan.build(offsetBy(starts.start, -0x1000), 40).kind, "out-of-reach");
  assert.equal(plan.build(offsetBy(starts.end, 0x1000), 40).kind, "out-of-reach");
});

void test("nowhere, where operands are farther from each other than a displacement leads twice", () => {
  const plan = accepted(["48 8b 05 ff ff ff 7f", "48 8b 1d 00 00 00 80"]);
  assert.equal(plan.starts(plan.room(40)), undefined);
});

void test("the program's bytes stay as they are, in a buffer that shares its memory too", () => {
  const bytes = Buffer.from("ffd0", "hex"); // call rax
  const plan = planTrampoline(blockAt(AT, [bytes], 0));
  assert.ok(plan.kind !== "refused");
  for (let round = 0; round < 2; round++) assert.equal(plan.build(NEAR, 0).kind, "trampoline");
  assert.equal(bytes.toString("hex"), "ffd0");
});

void test("an instruction with a hole before it, or with another's bytes, is an error of the caller", () => {
  const nop = Uint8Array.of(0x90);
  const hole = [
    { at: AT, bytes: nop },
    { at: offsetBy(AT, 2), bytes: nop },
  ];
  assert.throws(() => planTrampoline({ instructions: hole, probed: 0, hasShadowStack: false }));
  assert.throws(() => planned(["90 90"]));
  assert.throws(() => planned(["90"], 1));
});
