import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { Decoder, DecoderOptions, Instruction, Register } from "iced-x86";
import type { Address } from "../../src/base/address.js";
import { planDisplacement } from "../../src/arch/x86_64/displaced.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import type { SlotCode } from "../../src/arch/x86_64/slot.js";
import { AT, asTheProgramSees, assertSame } from "./compare.js";
import {
  compiler,
  DATA,
  NEAR_SLOT,
  type Outcome,
  registerFile,
  type Run,
  runAll,
  STACK,
} from "./processor.js";
import { libcPath, textSection } from "./text-section.js";

const SIGALRM = 14;
const PER_OPCODE = 3;

/** Their results differ from one time to the next. */
const UNREPEATABLE = new Set(["rdtsc", "rdtscp", "rdrand", "rdseed", "cpuid", "rdpid", "rdpmc", "xbegin"]);

function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A few encodings of every opcode that real programs contain. */
function sample(): Uint8Array[] {
  const files = [libcPath(), "/usr/bin/perl", "/usr/bin/python3", process.execPath].filter((file) =>
    existsSync(file),
  );
  const seen = new Map<number, number>();
  const found: Uint8Array[] = [];
  const instruction = new Instruction();
  for (const file of files) {
    const text = textSection(file);
    const bytes = text.bytes.subarray(0, 4_000_000);
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    while (decoder.canDecode) {
      const start = decoder.position;
      decoder.decodeOut(instruction);
      if (instruction.isInvalid) continue;
      const count = seen.get(instruction.code) ?? 0;
      if (count >= PER_OPCODE) continue;
      seen.set(instruction.code, count + 1);
      const one = bytes.slice(start, start + instruction.length);
      if (instruction.memoryBase === Register.RIP) {
        // What it refers to is in the data page, whatever it was in its program.
        const offsets = decoder.getConstantOffsets(instruction);
        const view = new DataView(one.buffer);
        view.setInt32(offsets.displacementOffset, DATA + 0x200 - (AT + one.length), true);
        offsets.free();
      }
      found.push(one);
    }
    decoder.free();
  }
  instruction.free();
  return found;
}

function registersAt(random: (below: number) => number, pc: Address, small: boolean): RegisterFile {
  const value = (): bigint =>
    random(4) === 0
      ? BigInt(random(0x40))
      : BigInt(DATA + 0x400 + 8 * random(0x40)) + (small ? BigInt(random(8)) : 0n);
  // prettier-ignore
  return registerFile({
    rax: value(), rbx: value(), rdx: value(), rsi: value(), rdi: value(), r8: value(), r9: value(), r10: value(),
    r11: value(), r12: value(), r13: value(), r14: value(), r15: value(),
    rcx: BigInt(random(12)),
    rbp: BigInt(STACK + 0x900),
    rsp: BigInt(STACK + 0x800),
    eflags: 0x202n | BigInt(random(0x1000) & 0xcd5),
    fs_base: BigInt(DATA),
    gs_base: BigInt(DATA + 0x100),
    rip: BigInt(pc),
    cs: 0x33n,
  });
}

void test(
  "instructions of real programs do on the processor, displaced, what they do in their place",
  { skip: compiler === undefined ? "no C compiler" : false },
  (t) => {
    const runs: Run[] = [];
    const trials: { what: string; code: SlotCode; bare: number; displaced: number }[] = [];
    const sampled = sample();
    sampled.forEach((bytes, index) => {
      const plan = planDisplacement(bytes, AT);
      if (plan.kind === "refused" || plan.facts.isSystemCall || UNREPEATABLE.has(plan.facts.mnemonic)) return;
      // Calls through registers that could not be emulated have forms of their own: see displaced-execution.
      if (plan.kind === "emulate" && plan.facts.flow === "call" && !plan.slotIsCheaper) return;
      const state = (pc: Address): RegisterFile => registersAt(generator(index), pc, index % 2 === 0);
      const bare = runs.push({ codeAt: AT, code: bytes, registers: state(AT) }) - 1;
      for (const stopAfter of [false, true]) {
        const code = plan.buildSlot(NEAR_SLOT, { stopAfter });
        assert.ok(code.kind === "slot");
        const displaced = runs.push({ codeAt: NEAR_SLOT, code: code.bytes, registers: state(NEAR_SLOT) }) - 1;
        const hex = Buffer.from(bytes).toString("hex");
        trials.push({
          what: `${plan.facts.mnemonic} (${hex})${stopAfter ? ", stop" : ""}`,
          code,
          bare,
          displaced,
        });
      }
    });
    const outcomes = runAll(runs);
    let compared = 0;
    for (const { what, code, bare, displaced } of trials) {
      const expected = outcomes[bare] as Outcome;
      if (expected.signal === SIGALRM) continue; // a jump to itself
      const { pc } = expected.registers;
      if (pc >= DATA && pc < STACK + 4096) continue; // a jump into data, and who knows how far there
      compared++;
      assertSame(
        expected,
        asTheProgramSees(outcomes[displaced] as Outcome, expected, code, NEAR_SLOT, what),
        what,
      );
    }
    t.diagnostic(`${String(sampled.length)} encodings, ${String(compared)} runs compared`);
    assert.ok(compared > 1000);
  },
);
