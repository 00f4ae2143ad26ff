import assert from "node:assert/strict";
import { type Address, offsetBy } from "../../src/base/address.js";
import { type DisplacedBlock, planTrampoline } from "../../src/arch/x86_64/trampoline/trampoline.js";
import {
  showFault,
  type Trampoline,
  type TrampolinePoint,
  trampolinePoint,
} from "../../src/arch/x86_64/trampoline/points.js";
import { RegisterFile } from "../../src/arch/x86_64/registers.js";
import { SIGTRAP } from "./compare.js";
import { DATA, ModelMemory, NEAR_SLOT, type Outcome, SLOT_WORD } from "./processor.js";

/** What the word that the handler counts in holds at first. */
const UNCOUNTED = 0xcccc_cccc_cccc_ccccn;

/** Instructions one behind the other, the first at `at`. */
export function blockAt(
  at: Address,
  instructions: readonly Uint8Array[],
  probed: number,
  hasShadowStack = false,
): DisplacedBlock {
  let next = at;
  const placed = instructions.map((bytes) => {
    const one = { at: next, bytes };
    next = offsetBy(next, bytes.length);
    return one;
  });
  return { instructions: placed, probed, hasShadowStack };
}

export function joined(instructions: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(instructions.flatMap((bytes) => [...bytes]));
}

/**
 * Adds one to the last word of the page that it is in, changing no register and no flag.
 * @param usesStack with a push, below the red zone; else it leaves all of the stack alone
 */
function countingHandler(at: Address, page: Address, usesStack: boolean): Uint8Array {
  const code: number[] = [];
  const relative = (opcode: readonly number[], to: number): void => {
    code.push(...opcode);
    const distance = to - (at + code.length + 4);
    for (let shift = 0; shift < 32; shift += 8) code.push((distance >> shift) & 0xff);
  };
  const word = page + SLOT_WORD;
  if (usesStack)
    code.push(0x50); // push rax
  else relative([0x48, 0x89, 0x05], word - 8); // mov [rip+…], rax
  relative([0x48, 0x8b, 0x05], word); // mov rax, [rip+…]
  code.push(0x48, 0x8d, 0x40, 0x01); // lea rax, [rax+1]
  relative([0x48, 0x89, 0x05], word);
  if (usesStack)
    code.push(0x58); // pop rax
  else relative([0x48, 0x8b, 0x05], word - 8);
  return Uint8Array.from(code);
}

/** A trampoline of a block with a counting handler; undefined where it is out of reach, and a sentence where refused. */
export function buildTrampoline(
  block: DisplacedBlock,
  start: Address,
  usesStack: boolean,
): Trampoline | string | undefined {
  const plan = planTrampoline(block);
  if (plan.kind === "refused") return plan.reason;
  const page = offsetBy(start, -(start % 4096));
  const { length } = countingHandler(start, page, usesStack);
  const built = plan.build(start, length);
  const room = plan.room(length);
  const starts = plan.starts(room);
  const isInReach = starts !== undefined && start >= starts.start && start < starts.end;
  if (built.kind === "out-of-reach") {
    assert.ok(!isInReach, "what is said to be in reach is not");
    return undefined;
  }
  assert.ok(built.bytes.length <= room, `${String(built.bytes.length)} bytes in room for ${String(room)}`);
  const offsets = built.points.map((point) => point.offset);
  assert.deepEqual(
    offsets,
    [...new Set(offsets)].sort((one, other) => one - other),
    "one offset with two meanings, or out of order",
  );
  const handlerAt = offsetBy(start, built.handler.start);
  built.bytes.set(countingHandler(handlerAt, page, usesStack), built.handler.start);
  return built;
}

export function isIn(trampoline: Trampoline, start: Address, pc: bigint): boolean {
  return pc >= BigInt(start) && pc <= BigInt(start + trampoline.bytes.length);
}

export function isInHandler({ handler }: Trampoline, offset: number): boolean {
  return offset >= handler.start && offset < handler.end;
}

/** Moves a thread that is not at a fault out of a trampoline. */
export function moveOut(point: TrampolinePoint, registers: RegisterFile, memory: ModelMemory): void {
  if (point.kind === "unfinished") point.finish(registers, memory);
  else registers.pc = point.at;
}

/** How many hits the handler counted. */
export function counted(outcome: Outcome, start: Address): bigint {
  return outcome.words[start - (start % 4096) === NEAR_SLOT ? 0 : 1] - UNCOUNTED;
}

/** What the program would see of a thread that a signal stopped in a trampoline or behind it. */
export function asTheProgramSees(
  outcome: Outcome,
  trampoline: Trampoline,
  start: Address,
  what: string,
): Outcome {
  const pc = outcome.registers.read("rip");
  if (!isIn(trampoline, start, pc)) return outcome;
  const registers = new RegisterFile();
  registers.bytes.set(outcome.registers.bytes);
  const memory = new ModelMemory(outcome.memory.slice());
  const offset = Number(pc - BigInt(start));
  const point = trampolinePoint(trampoline, offset);
  assert.ok(point, `${what}: no meaning for offset ${String(offset)} of the trampoline`);
  // On some machines int1 is a fault, see exceptions.ts.
  const isTrap = point.trap !== undefined && (outcome.signal === SIGTRAP || point.fault === undefined);
  if (!isTrap && point.fault !== undefined) showFault(point.fault, registers);
  else {
    assert.ok(point.trap, `${what}: an exception of ours, at offset ${String(offset)} of the trampoline`);
    moveOut(point, registers, memory);
  }
  const address = outcome.address === pc ? registers.read("rip") : outcome.address;
  return { ...outcome, address, registers, memory: memory.bytes };
}

/**
 * The same memory without the words that an indirect call may leave below the stack pointer, and those below the
 * red zone, where handlers have their stack.
 * @param handlersStack the stack pointer before the first instruction
 */
export function withoutDeadWords(outcome: Outcome, isIndirectCall: boolean, handlersStack?: number): Outcome {
  const memory = outcome.memory.slice();
  const sp = Number(outcome.registers.read("rsp")) - DATA;
  const isInStack = sp >= 0 && sp <= memory.length;
  if (handlersStack !== undefined) {
    const before = handlersStack - DATA;
    const after = isInStack ? sp : before;
    memory.fill(0, Math.max(0, Math.min(before, after) - 192), Math.max(0, Math.max(before, after) - 128));
  }
  if (isIndirectCall && isInStack && sp >= 16) memory.fill(0, sp - 16, sp);
  return { ...outcome, memory };
}
