import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/base/address.js";
import { planDisplacement } from "../../src/arch/x86_64/displaced.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import type { SlotCode } from "../../src/arch/x86_64/slot.js";
import { AT, asTheProgramSees, assertSame } from "./compare.js";
import { compiler, DATA, NEAR_SLOT, type Outcome, type Run, runAll, STACK } from "./processor.js";
import {
  generator,
  programs,
  referringTo,
  registersAt,
  samplesOfEachForm,
  UNREPEATABLE,
} from "./sampling.js";

const SIGALRM = 14;
const PER_OPCODE = 3;

void test(
  "instructions of real programs do on the processor, displaced, what they do in their place",
  { skip: compiler === undefined ? "no C compiler" : false },
  (t) => {
    const runs: Run[] = [];
    const trials: { what: string; code: SlotCode; bare: number; displaced: number }[] = [];
    const sampled = samplesOfEachForm(programs(), PER_OPCODE, 4_000_000);
    sampled.forEach((sample, index) => {
      const bytes = referringTo(DATA + 0x200, sample, AT);
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
