import assert from "node:assert/strict";
import { type Address, offsetBy } from "../../src/base/address.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { type SlotCode, slotPoint } from "../../src/arch/x86_64/slot.js";
import { CODE, differences, ModelMemory, type Outcome } from "./processor.js";

/** Where instructions stand in the code page. */
export const AT = offsetBy(CODE, 0x800);
export const SIGTRAP = 5;
export const SI_KERNEL = 0x80;
/** The processor sets it in the flags that a fault saves. */
export const RESUME_FLAG = 0x10000n;

/** What the program would see of a thread that a signal stopped in its slot. */
export function asTheProgramSees(
  outcome: Outcome,
  bare: Outcome,
  code: SlotCode,
  slot: Address,
  what: string,
): Outcome {
  const registers = new RegisterFile();
  registers.bytes.set(outcome.registers.bytes);
  const memory = new ModelMemory(outcome.memory.slice());
  const inSlot = (value: bigint): boolean =>
    value >= BigInt(slot) && value <= BigInt(slot + code.bytes.length);
  const pc = registers.read("rip");
  let { address } = outcome;
  if (inSlot(pc)) {
    const offset = Number(pc - BigInt(slot));
    const point = slotPoint(code, offset);
    assert.ok(point, `${what}: no meaning for offset ${String(offset)} of the slot`);
    if (point.kind === "unfinished") point.finish(registers, memory);
    else registers.pc = point.at;
    if (point.kind === "before") point.repair?.(registers, memory);
    if (address === pc) address = registers.read("rip");
    const ours = outcome.signal === SIGTRAP && code.stops.includes(offset);
    if (ours && bare.signal === SIGTRAP) {
      // The bare run has come to the int3 that fills the code page, one byte on; ours has stopped before it.
      registers.pc = offsetBy(registers.pc, 1);
    } else if (ours && bare.address === registers.read("rip")) {
      // The bare run has gone on to where nothing is mapped; ours has stopped before that.
      registers.write("eflags", registers.read("eflags") | RESUME_FLAG);
      return { ...bare, registers, memory: memory.bytes };
    }
  }
  return { ...outcome, address, registers, memory: memory.bytes };
}

/** Asserts that nothing tells the displaced run from the bare one. */
export function assertSame(bare: Outcome, displaced: Outcome, what: string): void {
  assert.equal(displaced.signal, bare.signal, `${what}: signal`);
  assert.equal(displaced.code, bare.code, `${what}: si_code`);
  assert.equal(displaced.address, bare.address, `${what}: si_addr`);
  assert.equal(differences(bare.registers, displaced.registers), "", `${what}: registers, bare / displaced`);
  assert.deepEqual(displaced.memory, bare.memory, `${what}: memory`);
  assert.equal(displaced.vectors, bare.vectors, `${what}: vector and floating-point registers`);
}
