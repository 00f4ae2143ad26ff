import { type Address, addressOf, offsetBy, toBigInt } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { Emulated, EmulationMemory } from "./emulate.js";
import {
  type InstructionForm,
  type Original,
  relocated,
  SYSCALL_LENGTH,
  turnCallInto,
} from "./instruction-form.js";
import type { MachineCode } from "./machine-code.js";
import type { RegisterFile } from "./registers.js";
import { type OutOfReach, SlotBuilder, type SlotCode, type SlotEnd } from "./slot.js";

/** The code that runs a displaced instruction by itself. */
export function buildSlot(
  form: InstructionForm,
  slot: Address,
  stopAfter: boolean,
  stop: Exclude<SlotEnd, "goes-on">,
  because: Emulated | undefined,
): SlotCode | OutOfReach {
  const { original } = form;
  const end = stopAfter ? stop : "goes-on";
  switch (form.kind) {
    case "copy":
      return buildCopySlot(original, slot, end);
    case "system-call":
      return buildSystemCallSlot(original, slot, end);
    case "transaction":
      return buildTransactionSlot(original, form.fallback, slot, end);
    case "jump":
      return buildJumpSlot(original, form.target, slot, end);
    case "conditional-jump":
      return buildConditionalSlot(original, [0x70 | form.condition], form.target, slot, end);
    case "counted-jump":
      return buildConditionalSlot(original, form.short, form.target, slot, end);
    case "call":
      return buildCallSlot(original, form.target, slot, end);
    case "indirect-call":
      return buildIndirectCallSlot(original, form.opcodeAt, slot, because, stop);
  }
}

/** The instruction itself, its relative operand corrected, and the way on behind it. */
function buildCopySlot(original: Original, slot: Address, end: SlotEnd): SlotCode | OutOfReach {
  const bytes = relocated(original, slot);
  if (!(bytes instanceof Uint8Array)) return bytes;
  const build = new SlotBuilder(slot);
  build.before(original.at);
  build.code.append(bytes);
  build.leave(original.next, end);
  return build.finish();
}

/**
 * `syscall` leaves the address behind it in rcx; so the slot puts the original's there, without a
 * stop: a child process that starts here, a call that is restarted and a return from a signal
 * handler all pass over it. r11 (the flags) is right by itself.
 */
function buildSystemCallSlot(original: Original, slot: Address, end: SlotEnd): SlotCode {
  const { next } = original;
  const build = new SlotBuilder(slot);
  build.before(original.at);
  // To restart a call the kernel goes back by two bytes, into the instruction where it has prefixes.
  const restart = original.bytes.length - SYSCALL_LENGTH;
  build.code.append(original.bytes.subarray(0, restart));
  if (restart > 0) build.before(offsetBy(original.at, restart));
  build.code.append(original.bytes.subarray(restart));
  build.unfinished((registers) => {
    registers.write("rcx", toBigInt(next));
    registers.pc = next;
  });
  build.code.bytes(0x48, 0xb9); // mov rcx, imm64
  build.code.int64(toBigInt(next));
  build.leave(next, end);
  return build.finish();
}

/** xbegin: an aborted transaction comes out behind the copy and is led on to where the original says. */
function buildTransactionSlot(original: Original, fallback: Address, slot: Address, end: SlotEnd): SlotCode {
  const build = new SlotBuilder(slot);
  build.before(original.at);
  build.code.bytes(0xc7, 0xf8); // xbegin rel32
  const field = build.code.length;
  build.code.int32(0);
  const behind = build.code.length;
  build.leave(original.next, end);
  build.otherWay();
  build.code.patchInt32(field, build.code.length - behind);
  build.leave(fallback, end);
  return build.finish();
}

/** jmp rel. */
function buildJumpSlot(original: Original, target: Address, slot: Address, end: SlotEnd): SlotCode {
  const build = new SlotBuilder(slot);
  build.before(original.at);
  if (end === "goes-on") build.code.jump(target);
  else {
    build.code.bytes(0x90); // something to trap behind, where the program steps itself
    build.leave(target, end);
  }
  return build.finish();
}

/**
 * jcc, loop, jrcxz.
 * @param form the instruction's short form without its displacement
 */
function buildConditionalSlot(
  original: Original,
  form: readonly number[],
  target: Address,
  slot: Address,
  end: SlotEnd,
): SlotCode {
  const build = new SlotBuilder(slot);
  build.before(original.at);
  build.code.bytes(...form);
  const field = build.code.length;
  build.code.bytes(0);
  const behind = build.code.length;
  build.leave(original.next, end);
  build.otherWay();
  build.code.patchInt8(field, build.code.length - behind);
  build.leave(target, end);
  return build.finish();
}

/** call rel32: a push of the true return address and a jump. Nothing of it ever needs a stop. */
function buildCallSlot(original: Original, target: Address, slot: Address, end: SlotEnd): SlotCode {
  const build = new SlotBuilder(slot);
  build.before(original.at);
  build.code.bytes(0xff, 0x35); // push [rip+rel32]
  const field = build.code.length;
  build.code.int32(0);
  const behind = build.code.length;
  build.leave(target, end);
  build.code.align();
  build.code.patchInt32(field, build.code.length - behind);
  build.code.int64(toBigInt(original.next));
  return build.finish();
}

/**
 * call reg, call [mem], for a thread for which they could not be emulated.
 *
 * `push` of the same operand makes the same accesses in the same order and so raises the same
 * faults; where it does not fault after all, a stop follows, and the rest is done for it. Where
 * the target is not canonical, the call itself is what faults, and so it is copied.
 *
 * @param opcodeAt offset of the opcode FF
 */
function buildIndirectCallSlot(
  original: Original,
  opcodeAt: number,
  slot: Address,
  because: Emulated | undefined,
  end: Exclude<SlotEnd, "goes-on">,
): SlotCode | OutOfReach {
  const bytes = relocated(original, slot);
  if (!(bytes instanceof Uint8Array)) return bytes;
  const build = new SlotBuilder(slot);
  if (because === "not-canonical") {
    build.before(original.at, repairStack(offsetBy(slot, bytes.length), original.next));
    build.code.append(bytes);
    return build.finish();
  }
  build.before(original.at);
  turnCallInto("push", bytes, opcodeAt);
  build.code.append(bytes);
  const finish = finishCall(original);
  build.unfinished(finish);
  build.stop(
    end,
    (offset) => {
      build.unfinished(finish, offset);
    },
    () => {
      finishCallUntraced(build.code, original);
    },
  );
  return build.finish();
}

/** What {@link finishCall} does, in the program: no register and no flag changes, but two dead words below its stack. */
function finishCallUntraced(code: MachineCode, original: Original): void {
  code.bytes(0x50); // push rax
  code.bytes(0x48, 0x8b, 0x05); // mov rax, [rip+rel32]: the return address
  const field = code.length;
  code.int32(0);
  const behind = code.length;
  code.bytes(0x48, 0x87, 0x44, 0x24, 0x08); // xchg [rsp+8], rax: for the target
  code.bytes(0x48, 0x87, 0x04, 0x24); // xchg [rsp], rax
  code.bytes(0xc3); // ret, to the target
  code.align();
  code.patchInt32(field, code.length - behind);
  code.int64(toBigInt(original.next));
}

/** Some processors push first and look at the target then: #GP, but the word below the stack pointer is written. */
function repairStack(
  pushed: Address,
  next: Address,
): (registers: RegisterFile, memory: EmulationMemory) => void {
  return (registers, memory) => {
    const below = addressOf(BigInt.asUintN(64, registers.read("rsp") - 8n));
    if (below === undefined) return;
    const word = new Uint8Array(8);
    const view = new DataView(word.buffer);
    try {
      memory.read(below, word);
      if (view.getBigUint64(0, true) !== toBigInt(pushed)) return;
      view.setBigUint64(0, toBigInt(next), true);
      memory.write(below, word);
    } catch (fault) {
      // Not there (any more): then nothing of ours is there either.
      if (!(fault instanceof MemoryFault)) throw fault;
    }
  };
}

/** The target is on top of the stack, where the return address should be. */
function finishCall(original: Original): (registers: RegisterFile, memory: EmulationMemory) => void {
  return (registers, memory) => {
    const { sp } = registers;
    const word = new Uint8Array(8);
    const view = new DataView(word.buffer);
    memory.read(sp, word);
    const target = addressOf(view.getBigUint64(0, true));
    if (target === undefined) {
      // Another thread changed it since: the call has to be tried again, and faults then.
      registers.sp = offsetBy(sp, word.length);
      registers.pc = original.at;
      return;
    }
    view.setBigUint64(0, toBigInt(original.next), true);
    memory.write(sp, word);
    registers.pc = target;
  };
}
