import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, offsetBy } from "../../src/base/address.js";
import { planDisplacement } from "../../src/arch/x86_64/displaced.js";
import type { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { jumpBytes } from "../../src/arch/x86_64/trampoline/jump-bytes.js";
import type { Trampoline } from "../../src/arch/x86_64/trampoline/points.js";
import { AT, assertSame } from "./compare.js";
import { assemble, compiler, DATA, NEAR_SLOT, type Outcome, type Run, runAll, STACK } from "./processor.js";
import {
  generator,
  instructionsOf,
  programs,
  referringTo,
  registersAt,
  type Sample,
  samplesOfEachForm,
  UNREPEATABLE,
} from "./sampling.js";
import { textSection } from "./text-section.js";
import {
  asTheProgramSees,
  blockAt,
  buildTrampoline,
  counted,
  joined,
  withoutDeadWords,
} from "./trampoline-trials.js";

/** TRAPLINE_BLOCKS: how many blocks of each program are run, 8,000 in a few minutes; TRAPLINE_SEED: which. */
const BLOCKS = Number(process.env["TRAPLINE_BLOCKS"] ?? 150);
const SEED = Number(process.env["TRAPLINE_SEED"] ?? 1);
/** Bytes of a program's text that are looked at: all, only where time is no matter. */
const MOST = process.env["TRAPLINE_BLOCKS"] === undefined ? 4_000_000 : Infinity;
const processor = { skip: compiler === undefined ? "no C compiler" : false };
const SIGALRM = 14;
const AT_A_TIME = 4000;

interface Block {
  readonly instructions: readonly Uint8Array[];
  readonly probed: number;
  readonly seed: number;
}

/** Runs blocks bare and as trampolines. @returns how many were compared, and why others were refused */
function compareAll(blocks: readonly Block[]): { compared: number; refused: Map<string, number> } {
  const refused = new Map<string, number>();
  let compared = 0;
  for (let from = 0; from < blocks.length; from += AT_A_TIME) {
    const runs: Run[] = [];
    const trials: {
      block: Block;
      what: string;
      isIndirectCall: boolean;
      trampoline: Trampoline;
      bare: number;
    }[] = [];
    for (const block of blocks.slice(from, from + AT_A_TIME)) {
      const { instructions, probed, seed } = block;
      const what = `${instructions.map((bytes) => Buffer.from(bytes).toString("hex")).join(" ")}, the probe on ${String(probed)}, seed ${String(seed)}`;
      const trampoline = buildTrampoline(blockAt(AT, instructions, probed), NEAR_SLOT, false);
      assert.ok(trampoline !== undefined, `${what}: out of reach`);
      if (typeof trampoline === "string") {
        refused.set(trampoline, (refused.get(trampoline) ?? 0) + 1);
        continue;
      }
      const last = planDisplacement(instructions.at(-1) as Uint8Array, AT);
      const isIndirectCall = last.kind !== "refused" && last.form.kind === "indirect-call";
      const state = (pc: Address): RegisterFile => registersAt(generator(seed), pc, seed % 2 === 0);
      const bare = runs.push({ codeAt: AT, code: joined(instructions), registers: state(AT) }) - 1;
      const run = { codeAt: NEAR_SLOT, code: trampoline.bytes, registers: state(NEAR_SLOT) };
      // Who branches to the first instruction comes to the jump, and into the trampoline again.
      const code = jumpBytes(AT, 5, NEAR_SLOT);
      runs.push(joined(instructions).length < code.length ? run : { ...run, other: { at: AT, code } });
      trials.push({ block, what, isIndirectCall, trampoline, bare });
    }
    const outcomes = runAll(runs);
    for (const { block, what, isIndirectCall, trampoline, bare } of trials) {
      const expected = outcomes[bare] as Outcome;
      if (expected.signal === SIGALRM) continue; // a jump to itself
      const { pc } = expected.registers;
      if (pc >= DATA && pc < STACK + 4096) continue; // a jump into data, and who knows how far there
      compared++;
      const outcome = outcomes[bare + 1] as Outcome;
      const seen = asTheProgramSees(outcome, trampoline, NEAR_SLOT, what);
      assertSame(withoutDeadWords(expected, isIndirectCall), withoutDeadWords(seen, isIndirectCall), what);
      assert.ok(counted(outcome, NEAR_SLOT) <= 1n || comesBack(block), `${what}: hits`);
    }
  }
  return { compared, refused };
}

/** Whether it branches to its own first instruction. */
function comesBack({ instructions }: Block): boolean {
  return blockAt(AT, instructions, 0).instructions.some(({ at, bytes }) => {
    const plan = planDisplacement(bytes, at);
    return plan.kind !== "refused" && "target" in plan.form && plan.form.target === AT;
  });
}

function isRepeatable(bytes: Uint8Array): boolean {
  const plan = planDisplacement(bytes, AT);
  return plan.kind === "refused" || !(plan.facts.isSystemCall || UNREPEATABLE.has(plan.facts.mnemonic));
}

void test(
  "each form of instruction of real programs does natively what it does in its place",
  processor,
  (t) => {
    const [before, behind] = assemble(["lea r10,[r10+rcx*2+1]", "rcl r8,1"]) as [Uint8Array, Uint8Array];
    const samples = samplesOfEachForm(programs(), 2, MOST).filter(isRepeatable);
    const blocks = samples.map((sample, index): Block => {
      const own = referringTo(DATA + 0x200, sample, offsetBy(AT, before.length));
      const plan = planDisplacement(own, AT);
      const isCall = plan.kind !== "refused" && plan.facts.flow === "call";
      return {
        instructions: isCall ? [before, own] : [before, own, behind],
        probed: index % 2,
        seed: SEED + index,
      };
    });
    const { compared, refused } = compareAll(blocks);
    const reasons = [...refused].map(([reason, count]) => `${reason} ${String(count)}`).join(", ");
    t.diagnostic(
      `${String(samples.length)} samples, ${String(compared)} compared, refused: ${reasons || "none"}`,
    );
    assert.ok(compared > 1000 && blocks.length - compared < blocks.length / 20);
  },
);

void test(
  "instructions that stand together in real programs do, as a block, what they do there",
  processor,
  (t) => {
    const blocks: Block[] = [];
    for (const [index, file] of programs().entries()) blocks.push(...blocksOf(file, SEED * 100 + index));
    const { compared, refused } = compareAll(blocks);
    const reasons = [...refused].map(([reason, count]) => `${reason} ${String(count)}`).join(", ");
    t.diagnostic(
      `${String(blocks.length)} blocks, ${String(compared)} compared, refused: ${reasons || "none"}`,
    );
    // Where random registers lead a jump into data there is nothing to compare.
    assert.ok(compared > blocks.length / 2);
  },
);

/** What a jump of five bytes would displace, and up to three instructions more, from random places on. */
function blocksOf(file: string, seed: number): Block[] {
  const random = generator(seed);
  const text = textSection(file);
  const all = [...instructionsOf(text, MOST)];
  return Array.from({ length: BLOCKS }, (_, round): Block => {
    const length = 5 + random(12);
    const instructions: Uint8Array[] = [];
    let total = 0;
    for (let index = random(all.length); total < length; index++) {
      const { offset, length: own } = all[index % all.length] as Sample;
      const at = offsetBy(AT, total);
      const bytes = referringTo(DATA + 8 * random(0x100), text.bytes.slice(offset, offset + own), at);
      if (!isRepeatable(bytes)) break;
      instructions.push(bytes);
      total += own;
      const plan = planDisplacement(bytes, at);
      if (plan.kind === "refused" || plan.facts.flow === "call" || plan.facts.endsFlow) break;
    }
    if (instructions.length === 0) instructions.push(Uint8Array.of(0x90));
    return { instructions, probed: random(instructions.length), seed: seed * 1000 + round };
  });
}
