import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, offsetBy } from "../../src/base/address.js";
import { planDisplacement } from "../../src/arch/x86_64/displaced.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import type { Trampoline } from "../../src/arch/x86_64/trampoline/points.js";
import { trampolinePoint } from "../../src/arch/x86_64/trampoline/points.js";
import { AT, assertSame } from "./compare.js";
import { INSTRUCTIONS } from "./instructions.js";
import {
  assemble,
  compiler,
  FAR_SLOT,
  ModelMemory,
  NEAR_SLOT,
  type Outcome,
  type Run,
  runAll,
  type StartingState,
  startingRegisters,
  STACK,
} from "./processor.js";
import {
  asTheProgramSees,
  blockAt,
  buildTrampoline,
  counted,
  isIn,
  isInHandler,
  joined,
  moveOut,
  withoutDeadWords,
} from "./trampoline-trials.js";

const processor = { skip: compiler === undefined ? "no C compiler" : false };

/** Harmless by either table of system calls, see displaced-execution. */
const HARMLESS_CALL = 24n;

const STATES: readonly StartingState[] = [
  { flags: 0x202n, rcx: 5n, rax: 0x1234_5678_9abc_def0n },
  { flags: 0x202n | 0x8d5n, rcx: 1n, rax: HARMLESS_CALL },
  { flags: 0x202n | 0x80n, rcx: 0n, rax: 0xffff_ffff_ffff_ffffn },
  { flags: 0x202n | 0x800n, rcx: 0x1_0000_0001n, rax: 20n },
  { flags: 0x202n | 0x45n, rcx: 2n, rax: 0n },
  { flags: 0x202n | 0x4_0000n, rcx: 4n, rax: HARMLESS_CALL }, // misaligned accesses trap
];

/** Something before and something behind, that tells whether it ran once, and with the right flags. */
const BEFORE = ["lea r10,[r10+rcx*2+1]", "adc r8,0x11"] as const;
const BEHIND = ["setbe r9b", "rcl r8,1"] as const;

interface Case {
  readonly name: string;
  /** What is of interest begins at {@link AT}, what stands before it is before it. */
  readonly at: Address;
  readonly instructions: readonly Uint8Array[];
  readonly probed: number;
  readonly isIndirectCall: boolean;
}

/** Every instruction alone, and between others. */
function cases(): Case[] {
  const [encodings, before, behind] = [assemble(INSTRUCTIONS), assemble(BEFORE), assemble(BEHIND)];
  const all: Case[] = [];
  encodings.forEach((bytes, index) => {
    const name = INSTRUCTIONS[index] as string;
    const plan = planDisplacement(bytes, AT);
    const isIndirectCall = plan.kind !== "refused" && plan.form.kind === "indirect-call";
    const isCall = plan.kind !== "refused" && plan.facts.flow === "call";
    all.push({ name, at: AT, instructions: [bytes], probed: 0, isIndirectCall });
    const at = offsetBy(AT, -joined(before).length);
    const behindIt = isCall ? [] : behind;
    for (const probed of [0, 2, 3])
      if (probed < 3 || !isCall)
        all.push({
          name: `${name}, between others, the probe on ${String(probed)}`,
          at,
          instructions: [...before, bytes, ...behindIt],
          probed,
          isIndirectCall,
        });
  });
  return all;
}

const ALIGNMENT_CHECK = 0x4_0000n;

const FORMS: readonly (readonly [start: Address, usesStack: boolean])[] = [
  [NEAR_SLOT, true],
  [NEAR_SLOT, false],
  [FAR_SLOT, false],
];

void test("displaced instructions do natively, as a block, what they do in their place", processor, (t) => {
  const runs: Run[] = [];
  const trials: {
    what: string;
    trampoline: Trampoline;
    start: Address;
    bare: number;
    displaced: number;
    isIndirectCall: boolean;
  }[] = [];
  const refused = new Set<string>();
  let outOfReach = 0;
  for (const { name, at, instructions, probed, isIndirectCall } of cases()) {
    const built: { start: Address; usesStack: boolean; trampoline: Trampoline }[] = [];
    for (const [start, usesStack] of FORMS) {
      const trampoline = buildTrampoline(blockAt(at, instructions, probed), start, usesStack);
      if (trampoline === undefined) outOfReach++;
      else if (typeof trampoline === "string") refused.add(`${name.split(",")[0] ?? ""}: ${trampoline}`);
      else if (start === NEAR_SLOT || instructions.length > 1) built.push({ start, usesStack, trampoline });
    }
    if (built.length === 0) continue;
    for (const state of STATES) {
      const what = `${name}, flags ${state.flags.toString(16)}, rcx ${state.rcx.toString(16)}`;
      const bare =
        runs.push({ codeAt: at, code: joined(instructions), registers: startingRegisters(state, at) }) - 1;
      for (const { start, usesStack, trampoline } of built) {
        // The instructions before may have left a stack that is not aligned.
        if ((state.flags & ALIGNMENT_CHECK) !== 0n && usesStack) continue;
        const displaced =
          runs.push({ codeAt: start, code: trampoline.bytes, registers: startingRegisters(state, start) }) -
          1;
        trials.push({
          what: `${what}, at ${start.toString(16)}`,
          trampoline,
          start,
          bare,
          displaced,
          isIndirectCall,
        });
      }
    }
  }
  const outcomes = runAll(runs);
  for (const { what, trampoline, start, bare, displaced, isIndirectCall } of trials) {
    const expected = withoutDeadWords(outcomes[bare] as Outcome, isIndirectCall, STACK + 0x800);
    const outcome = outcomes[displaced] as Outcome;
    const seen = asTheProgramSees(outcome, trampoline, start, what);
    // Why a transaction was aborted (eax) is chance: the int3, or an interrupt before it.
    if (what.startsWith("xbegin")) seen.registers.write("rax", expected.registers.read("rax"));
    assertSame(expected, withoutDeadWords(seen, isIndirectCall, STACK + 0x800), what);
    assert.ok(counted(outcome, start) <= 1n, `${what}: hits`);
  }
  t.diagnostic(`${String(trials.length)} runs, ${String(outOfReach)} blocks out of reach`);
  assert.deepEqual([...refused].sort(), [
    "jmp .+2: branch-inside",
    "popf: sets-trap-flag",
    "popfq: sets-trap-flag",
  ]);
  assert.ok(trials.length > 5000);
});

/** Blocks whose every step is looked at. */
const STEPPED: readonly (readonly string[])[] = [
  ["push rbp", "mov rbp,rsp", "sub rsp,0x10"],
  ["mov rax,[rip+0x900]", "jne .+0x40", "mov [rip+0x880],rax"],
  ["push rbx", "loop .+0x20", "xor eax,eax"],
  ["jrcxz .+0x30", "lea rax,[rip+0x900]"],
  ["mov eax,ebx", "call .+0x100"],
  ["mov eax,ebx", "call r14"],
  ["push rbx", "call r15"],
  ["lea rdx,[rbx+8]", "call [rip+0x8f6]"],
  ["lea rdx,[rbx+8]", "call [rsp]"],
  ["lea rdx,[rbx+8]", "call rsp"],
  ["lea rdx,[rbx+8]", "call [rbx]"],
  ["lea rdx,[rbx+8]", "call [r13]"],
  ["lea rdx,[rbx+8]", "jmp [rsp]"],
  ["mov rax,[rsi]", "mov rax,[r13]", "inc rax"],
  ["pop rbx", "ret"],
  ["rep stosb", "ret 8"],
  ["mov ecx,9", "rep movsb", "jmp .+0x200"],
  ["xor ecx,ecx", "div rcx", "nop"],
  ["cmp rax,rbx", "cmovl rax,rbx", "setl cl", "jl .-0x200"],
];

void test(
  "a thread can be moved out of a trampoline at any step, or into it, and the program goes on as it would",
  processor,
  (t) => {
    const STEPS = 24;
    const lines = STEPPED.flat();
    const assembled = assemble(lines);
    let line = 0;
    const blocks = STEPPED.flatMap((texts) => {
      const instructions = texts.map(() => assembled[line++] as Uint8Array);
      return instructions.map((_, probed) => ({
        texts,
        instructions,
        probed,
        isIndirectCall: / (.*;)?call [r[]/.test(` ${texts.at(-1) ?? ""}`),
      }));
    });
    const runs: Run[] = [];
    const trials = blocks.flatMap(({ texts, instructions, probed, isIndirectCall }) =>
      [NEAR_SLOT, FAR_SLOT].flatMap((start) => {
        const trampoline = buildTrampoline(blockAt(AT, instructions, probed), start, false);
        if (trampoline === undefined) return [];
        assert.ok(typeof trampoline !== "string", texts.join("; "));
        return STATES.slice(0, 4).map((state) => {
          const bare =
            runs.push({ codeAt: AT, code: joined(instructions), registers: startingRegisters(state, AT) }) -
            1;
          const stepped = Array.from(
            { length: STEPS },
            (_, index) =>
              runs.push({
                codeAt: start,
                code: trampoline.bytes,
                registers: startingRegisters(state, start),
                steps: index + 1,
              }) - 1,
          );
          const inPlace = Array.from(
            { length: instructions.length },
            (_, index) =>
              runs.push({
                codeAt: AT,
                code: joined(instructions),
                registers: startingRegisters(state, AT),
                steps: index + 1,
              }) - 1,
          );
          const what = `${texts.join("; ")}, the probe on ${String(probed)}, at ${start.toString(16)}, rcx ${state.rcx.toString(16)}`;
          return { what, start, trampoline, instructions, probed, bare, stepped, inPlace, isIndirectCall };
        });
      }),
    );
    const outcomes = runAll(runs);
    const again: Run[] = [];
    const checks: {
      what: string;
      bare: Outcome;
      run: number;
      see: (outcome: Outcome) => Outcome;
      isIndirectCall: boolean;
    }[] = [];
    let inHandler = 0;
    for (const {
      what,
      start,
      trampoline,
      instructions,
      probed,
      bare,
      stepped,
      inPlace,
      isIndirectCall,
    } of trials) {
      const expected = outcomes[bare] as Outcome;
      for (const [index, run] of stepped.entries()) {
        const outcome = outcomes[run] as Outcome;
        const { registers } = outcome;
        // It has gone on, or stands at a fault.
        if (!isIn(trampoline, start, registers.read("rip")) || outcome.code !== TRAP_TRACE) continue;
        const offset = registers.pc - start;
        const step = `${what}, ${String(index + 1)} steps`;
        const hits = counted(outcome, start);
        if (isInHandler(trampoline, offset)) {
          inHandler++;
          continue;
        }
        const point = trampolinePoint(trampoline, offset);
        assert.ok(point, `${step}: no meaning for offset ${String(offset)}`);
        assert.equal(hits, point.handlerRan ? 1n : 0n, `${step}: whether the handler ran`);
        const moved = new RegisterFile();
        moved.bytes.set(registers.bytes);
        const memory = new ModelMemory(outcome.memory.slice());
        moveOut(point, moved, memory);
        const end = AT + joined(instructions).length;
        assert.ok(point.kind !== "before" || (moved.pc >= AT && moved.pc < end), step);
        const code = joined(instructions);
        again.push({ codeAt: AT, code, registers: moved, memory: memory.bytes });
        checks.push({
          what: step,
          bare: expected,
          run: again.length - 1,
          see: (seen) => seen,
          isIndirectCall,
        });
      }
      let at: number = AT;
      const boundaries = instructions.map((bytes) => (at += bytes.length) - bytes.length);
      for (const run of inPlace) {
        const outcome = outcomes[run] as Outcome;
        const index = boundaries.indexOf(outcome.registers.pc);
        if (index < 0 || outcome.code !== TRAP_TRACE) continue;
        const registers = new RegisterFile();
        registers.bytes.set(outcome.registers.bytes);
        registers.pc = offsetBy(start, trampoline.entries[index] as number);
        again.push({ codeAt: start, code: trampoline.bytes, registers, memory: outcome.memory });
        const led = `${what}, led in at instruction ${String(index)}`;
        checks.push({
          what: led,
          bare: expected,
          run: again.length - 1,
          see: (seen) => {
            if (index > probed) assert.equal(counted(seen, start), 0n, led);
            return asTheProgramSees(seen, trampoline, start, led);
          },
          isIndirectCall,
        });
      }
    }
    const outcomesAgain = runAll(again);
    for (const { what, bare, run, see, isIndirectCall } of checks)
      assertSame(
        withoutDeadWords(bare, isIndirectCall),
        withoutDeadWords(see(outcomesAgain[run] as Outcome), isIndirectCall),
        what,
      );
    t.diagnostic(`${String(checks.length)} threads moved, ${String(inHandler)} were in a handler`);
    assert.ok(checks.length > 2000 && inHandler > 500);
  },
);

const TRAP_TRACE = 2;
