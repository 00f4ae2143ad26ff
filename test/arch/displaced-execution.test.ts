import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, offsetBy } from "../../src/base/address.js";
import { planDisplacement, type Displacement } from "../../src/arch/x86_64/displaced.js";
import { mayHaveRaised } from "../../src/arch/x86_64/exceptions.js";
import type { Emulated } from "../../src/arch/x86_64/emulate.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import type { SlotCode } from "../../src/arch/x86_64/slot.js";
import { AT, asTheProgramSees, assertSame, RESUME_FLAG, SI_KERNEL, SIGTRAP } from "./compare.js";
import { INSTRUCTIONS } from "./instructions.js";
import {
  addressIn,
  assemble,
  compiler,
  DATA,
  differences,
  FAR_SLOT,
  freshMemory,
  ModelMemory,
  NEAR_SLOT,
  type Outcome,
  type Run,
  runAll,
  startingRegisters,
} from "./processor.js";

const TRAP_FLAG = 0x100n;

/** Flags and counts that decide branches; each instruction runs from each. */
/**
 * System calls are made for real: sched_yield by `syscall`, getuid by `int 0x80`. Other numbers are
 * harmless in one table only: 39 is getpid in one and mkdir in the other.
 */
const HARMLESS_CALL = 24n;
const STATES: readonly { readonly flags: bigint; readonly rcx: bigint; readonly rax: bigint }[] = [
  { flags: 0x202n, rcx: 5n, rax: 0x1234_5678_9abc_def0n },
  { flags: 0x202n | 0x8d5n, rcx: 1n, rax: HARMLESS_CALL },
  { flags: 0x202n | 0x80n, rcx: 0n, rax: 0xffff_ffff_ffff_ffffn },
  { flags: 0x202n | 0x800n, rcx: 0x1_0000_0001n, rax: 20n },
  { flags: 0x202n | 0x45n, rcx: 2n, rax: 0n },
  { flags: 0x202n | 0x1n, rcx: 3n, rax: 7n },
  { flags: 0x202n | 0x4_0000n, rcx: 4n, rax: HARMLESS_CALL },
  { flags: 0x202n | 0x880n, rcx: 6n, rax: HARMLESS_CALL },
  { flags: 0x302n, rcx: 2n, rax: HARMLESS_CALL }, // a program that steps itself
];

interface Trial {
  readonly what: string;
  readonly code: SlotCode;
  readonly slot: Address;
  readonly bare: number;
  readonly displaced: number;
}

type Planned = Exclude<Displacement, { kind: "refused" }>;

const processor = { skip: compiler === undefined ? "no C compiler" : false };

void test("a displaced instruction does on the processor what it does in its place", processor, (t) => {
  const encodings = assemble(INSTRUCTIONS);
  const runs: Run[] = [];
  const trials: Trial[] = [];
  const emulations: { what: string; plan: Planned; state: (typeof STATES)[number]; bare: number }[] = [];
  const refused: string[] = [];
  const outOfReach: string[] = [];
  encodings.forEach((bytes, index) => {
    const name = INSTRUCTIONS[index] as string;
    const plan = planDisplacement(bytes, AT);
    if (plan.kind === "refused") {
      refused.push(`${name}: ${plan.reason}`);
      return;
    }
    assert.equal(plan.facts.length, bytes.length, name);
    for (const state of STATES) {
      // What delays the trap by one more instruction has it, in a slot, behind one of ours: a known limit.
      if (delaysTrap(plan) && (state.flags & TRAP_FLAG) !== 0n) continue;
      const bare = runs.push({ codeAt: AT, code: bytes, registers: startingRegisters(state, AT) }) - 1;
      const what = `${name}, flags ${state.flags.toString(16)}, rcx ${state.rcx.toString(16)}`;
      emulations.push({ what, plan, state, bare });
      const because = notEmulated(plan, state);
      for (const [slot, stopAfter, insertsStops] of FORMS) {
        const options = { stopAfter, insertsStops, ...(because === undefined ? {} : { because }) };
        const code = plan.buildSlot(slot, options);
        if (code.kind === "out-of-reach") {
          outOfReach.push(`${name} at ${slot.toString(16)}`);
          continue;
        }
        const displaced =
          runs.push({ codeAt: slot, code: code.bytes, registers: startingRegisters(state, slot) }) - 1;
        trials.push({
          what: `${what}, slot ${slot.toString(16)}${stopAfter ? ", stop" : ""}${insertsStops ? " taken out" : ""}`,
          code,
          slot,
          bare,
          displaced,
        });
      }
    }
  });
  const outcomes = runAll(runs);
  for (const { what, code, slot, bare, displaced } of trials) {
    const seen = asTheProgramSees(
      outcomes[displaced] as Outcome,
      outcomes[bare] as Outcome,
      code,
      slot,
      what,
    );
    // Why a transaction was aborted (eax) is chance: the int3, or an interrupt before it.
    if (what.startsWith("xbegin"))
      seen.registers.write("rax", (outcomes[bare] as Outcome).registers.read("rax"));
    if (what.includes("call") && what.endsWith("taken out"))
      forgetBelowStack(outcomes[bare] as Outcome, seen);
    assertSame(outcomes[bare] as Outcome, seen, what);
  }
  let raised = 0;
  for (const { what, plan, state, bare } of emulations)
    // Stepping itself, a program is stopped between the iterations of a rep.
    if ((state.flags & TRAP_FLAG) === 0n && isKnownToRaise(plan, outcomes[bare] as Outcome, what)) raised++;
  let emulated = 0;
  for (const { what, plan, state, bare } of emulations)
    if (emulatesLikeTheProcessor(plan, state, outcomes[bare] as Outcome, what)) emulated++;
  assert.deepEqual(refused, []);
  t.diagnostic(
    `${String(trials.length)} runs in slots, ${String(emulated)} emulated, ${String(raised)} raised an exception, out of reach: ${String(new Set(outOfReach).size)}`,
  );
  assert.ok(trials.length > 4000 && emulated > 300 && raised > 200);
});

/** A call that nobody finishes from outside uses the two words below the return address, where nothing is kept. */
function forgetBelowStack(bare: Outcome, seen: Outcome): void {
  const from = bare.registers.sp - DATA - 16;
  if (from >= 0 && from + 16 <= bare.memory.length)
    seen.memory.set(bare.memory.subarray(from, from + 16), from);
}

/** Where the slot is, whether it ends with a stop, and whether the target inserts that: here it has taken it out. */
const FORMS: readonly (readonly [Address, boolean, boolean])[] = [
  [NEAR_SLOT, false, false],
  [NEAR_SLOT, true, false],
  [NEAR_SLOT, true, true],
  [FAR_SLOT, false, false],
  [FAR_SLOT, true, false],
  [FAR_SLOT, true, true],
];

/** mov ss, system calls, an aborted transaction, and what the kernel emulates where the processor forbids it to user code (UMIP). */
function delaysTrap({ facts }: Planned): boolean {
  return (
    facts.shadowsNext || facts.isSystemCall || ["sgdt", "str", "smsw", "xbegin"].includes(facts.mnemonic)
  );
}

/** @returns whether the instruction itself was what raised the signal that ended the bare run */
function isKnownToRaise(plan: Planned, bare: Outcome, what: string): boolean {
  const pc = bare.registers.pc;
  const { facts } = plan;
  const isTrap = facts.flow === "exception" && pc === offsetBy(AT, facts.length);
  if (pc !== AT && !isTrap) return false;
  const signal = SIGNALS.get(bare.signal);
  assert.ok(signal, `${what}: signal ${String(bare.signal)}`);
  assert.equal(
    mayHaveRaised(signal, bare.code, facts),
    // Where int1 stands is the machine's choice.
    facts.mnemonic === "int1" ? "either" : isTrap ? "trap" : "fault",
    `${what}: ${signal} ${String(bare.code)}`,
  );
  return true;
}

const SIGNALS: ReadonlyMap<number, string> = new Map([
  [4, "SIGILL"],
  [SIGTRAP, "SIGTRAP"],
  [7, "SIGBUS"],
  [8, "SIGFPE"],
  [11, "SIGSEGV"],
]);

function emulationOf(plan: Planned): Extract<Planned, { kind: "emulate" }>["emulate"] | undefined {
  if (plan.kind === "emulate") return plan.emulate;
  return plan.after.by === "emulation" ? plan.after.emulate : undefined;
}

function notEmulated(plan: Planned, state: (typeof STATES)[number]): Exclude<Emulated, "done"> | undefined {
  const result = emulationOf(plan)?.(startingRegisters(state, AT), new ModelMemory());
  return result === "done" ? undefined : result;
}

/** @returns whether it was emulated */
function emulatesLikeTheProcessor(
  plan: Planned,
  state: (typeof STATES)[number],
  bare: Outcome,
  what: string,
): boolean {
  const emulate = emulationOf(plan);
  if (emulate === undefined) return false;
  const registers = startingRegisters(state, AT);
  const memory = new ModelMemory();
  const result = emulate(registers, memory);
  if (result !== "done") {
    assert.equal(
      differences(registers, startingRegisters(state, AT)),
      "",
      `${what}: changed though ${result}`,
    );
    assert.deepEqual(memory.bytes, freshMemory(), `${what}: changed though ${result}`);
    return false;
  }
  const expected = new RegisterFile();
  expected.bytes.set(bare.registers.bytes);
  if (bare.signal === SIGTRAP && bare.code === SI_KERNEL)
    expected.pc = offsetBy(addressIn(expected.read("rip")), -1);
  for (const name of ["cs", "ss", "ds", "es", "fs", "gs", "orig_rax", "eflags"] as const) {
    // Segments are the child's own; of the flags the kernel's answer may add the resume flag.
    registers.write(
      name,
      name === "eflags" ? registers.read(name) | (expected.read(name) & RESUME_FLAG) : expected.read(name),
    );
  }
  assert.equal(differences(expected, registers), "", `${what}: registers, processor / emulated`);
  assert.deepEqual(memory.bytes, bare.memory, `${what}: memory`);
  return true;
}
