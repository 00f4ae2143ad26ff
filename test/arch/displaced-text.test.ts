import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder, DecoderOptions, Instruction } from "iced-x86";
import { type Address, addressOf, offsetBy, toBigInt } from "../../src/base/address.js";
import { instructionStarts } from "../../src/arch/x86_64/decode.js";
import { planDisplacement } from "../../src/arch/x86_64/displaced.js";
import { SLOT_LENGTH, slotPoint } from "../../src/arch/x86_64/slot.js";
import { libcPath, textSection, type Text } from "./text-section.js";

/** Every instruction of a text, data among code skipped by one byte at a time. */
function* instructionsOf(text: Text): Generator<Address> {
  let from = 0;
  while (from < text.bytes.length) {
    const found = instructionStarts(text.bytes.subarray(from), offsetBy(text.at, from));
    yield* found.starts;
    from = found.decodedUpTo - text.at + 1;
  }
}

const SHIFT = 0x1000_0000; // where the program's slots are: 256 MiB behind its text

void test("every instruction of the C library has a plan, and its copy means the same", (t) => {
  const text = textSection(libcPath());
  const counts = new Map<string, number>();
  let total = 0;
  let relative = 0;
  const original = new Instruction();
  const copy = new Instruction();
  try {
    for (const at of instructionsOf(text)) {
      total++;
      const bytes = text.bytes.subarray(at - text.at, at - text.at + 15);
      const plan = planDisplacement(bytes, at);
      const kind = plan.kind === "refused" ? plan.reason : plan.kind;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      if (plan.kind === "refused") continue;
      // All of them are planned; of the copies every seventh is looked into, which is a prime and
      // so meets every kind of instruction.
      if (total % 7 !== 0) continue;
      const slot = offsetBy(at, SHIFT + (total % 16));
      const stopAfter = total % 2 === 0;
      const code = plan.buildSlot(slot, { stopAfter });
      assert.ok(code.kind === "slot");
      assert.ok(
        code.bytes.length <= SLOT_LENGTH,
        `${plan.facts.mnemonic}: ${String(code.bytes.length)} bytes`,
      );
      for (const stop of code.stops) assert.ok(slotPoint(code, stop), "a stop without a meaning");
      assert.equal(slotPoint(code, 0)?.kind, "before");
      const offsets = code.points.map((point) => point.offset);
      assert.deepEqual(offsets, [...new Set(offsets)], "one offset with two meanings");
      if (plan.kind !== "copy") continue;
      decodeInto(original, bytes, at);
      decodeInto(copy, code.bytes, slot);
      assert.equal(copy.code, original.code);
      assert.equal(copy.length, original.length);
      if (original.isIpRelMemoryOperand) {
        relative++;
        assert.equal(copy.ipRelMemoryAddress, original.ipRelMemoryAddress);
        copy.memoryDisplacement = original.memoryDisplacement;
      }
      if (plan.facts.mnemonic !== "xbegin") assert.ok(copy.equals(original), plan.facts.mnemonic);
    }
  } finally {
    original.free();
    copy.free();
  }
  t.diagnostic(`${String(total)} instructions, ${String(relative)} relative copies compared`);
  t.diagnostic([...counts].map(([kind, count]) => `${kind} ${String(count)}`).join(", "));
  assert.ok(total > 100_000 && relative > 100);
  const refused = [...counts].filter(([kind]) => kind !== "copy" && kind !== "emulate");
  assert.ok(refused.reduce((sum, [, count]) => sum + count, 0) < total / 10_000, "too many are refused");
});

function decodeInto(into: Instruction, bytes: Uint8Array, at: Address): void {
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  decoder.ip = toBigInt(at);
  decoder.decodeOut(into);
  decoder.free();
}

void test("random bytes are planned or refused, never an error", () => {
  let seed = 12345;
  const random = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 16;
  };
  const at = addressOf(0x7fff_1234_5678n) as Address;
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: 1 + (random() % 15) }, () => random() & 0xff);
    const plan = planDisplacement(bytes, at);
    if (plan.kind === "refused") assert.ok(plan.detail.length > 0);
    else for (const stopAfter of [false, true]) plan.buildSlot(offsetBy(at, -SHIFT), { stopAfter });
  }
});

void test("ten thousand plans take well under half a second", (t) => {
  const text = textSection(libcPath());
  const { starts } = instructionStarts(text.bytes, text.at);
  const some = Array.from({ length: 10_000 }, (_, index) => starts[(index * 7) % starts.length] as Address);
  const begin = performance.now();
  for (const at of some) planDisplacement(text.bytes.subarray(at - text.at, at - text.at + 15), at);
  const took = performance.now() - begin;
  t.diagnostic(`${took.toFixed(0)} ms`);
  assert.ok(took < 500);
});
