import { type Address, addressOf, offsetBy, toBigInt } from "../../../base/address.js";
import type { EmulationMemory } from "../emulate.js";
import { type InstructionForm, relocated, SYSCALL_LENGTH, turnCallInto } from "../instruction-form.js";
import type { RegisterFile } from "../registers.js";
import type { OutOfReach } from "../slot.js";
import type { BlockBuilder } from "./block-builder.js";

type FormOf<Kind extends InstructionForm["kind"]> = Extract<InstructionForm, { kind: Kind }>;

/**
 * Appends what a displaced instruction does, such that no way of it ever stops: code that goes on behind the
 * instruction falls through.
 */
export function emitNatively(build: BlockBuilder, form: InstructionForm): OutOfReach | undefined {
  switch (form.kind) {
    case "copy":
      return emitCopy(build, form);
    case "system-call":
      emitSystemCall(build, form);
      return undefined;
    case "transaction":
      build.before(form.original.at);
      build.code.bytes(0xc7, 0xf8); // xbegin rel32
      build.branchField(form.fallback);
      return undefined;
    case "jump":
      build.before(form.original.at);
      build.jump(form.target);
      return undefined;
    case "conditional-jump":
      build.before(form.original.at);
      build.code.bytes(0x0f, 0x80 | form.condition);
      build.branchField(form.target);
      return undefined;
    case "counted-jump":
      emitCountedJump(build, form);
      return undefined;
    case "call":
      build.before(form.original.at);
      pushReturnAddress(build, form.original.next);
      build.after(form.target);
      build.jump(form.target);
      return undefined;
    case "indirect-call":
      // `call rsp` goes to where the stack pointer was, which is gone after a push.
      return form.register === undefined || form.register === "rsp"
        ? emitCallThroughMemory(build, form)
        : emitCallThroughRegister(build, form, form.register);
  }
}

function emitCopy(build: BlockBuilder, { original }: FormOf<"copy">): OutOfReach | undefined {
  // How long it is does not depend on what it refers to.
  const bytes = build.isFar ? original.bytes : relocated(original, build.code.here);
  if (!(bytes instanceof Uint8Array)) return bytes;
  build.before(original.at);
  build.code.append(bytes);
  return undefined;
}

/** See buildSystemCallSlot: rcx is put right behind it, whoever comes out of the kernel there. */
function emitSystemCall(build: BlockBuilder, { original }: FormOf<"system-call">): void {
  const { bytes, at, next } = original;
  build.before(at);
  const restart = bytes.length - SYSCALL_LENGTH;
  build.code.append(bytes.subarray(0, restart));
  if (restart > 0) build.before(offsetBy(at, restart));
  build.code.append(bytes.subarray(restart));
  build.behindTrap(at);
  build.unfinished((registers) => {
    registers.write("rcx", toBigInt(next));
    registers.pc = next;
  }, undefined);
  build.code.bytes(0x48, 0xb9); // mov rcx, imm64
  build.code.int64(toBigInt(next));
}

/** There is only the short form: it leads over a jump to the one that leads to its target. */
function emitCountedJump(build: BlockBuilder, { original, short, target }: FormOf<"counted-jump">): void {
  const { code } = build;
  build.before(original.at);
  code.bytes(...short, 2);
  build.after(original.next);
  code.bytes(0xeb, 0); // jmp rel8
  const behind = code.length;
  build.after(target);
  build.jump(target);
  code.patchInt8(behind - 1, code.length - behind);
}

function pushReturnAddress(build: BlockBuilder, next: Address): void {
  build.code.bytes(0xff, 0x35); // push [rip+rel32]
  build.literal(next);
}

const WORD = 8;

/** call reg: the push faults as the call's own does, and the jump as its #GP for an address that cannot be. */
function emitCallThroughRegister(
  build: BlockBuilder,
  { original, opcodeAt }: FormOf<"indirect-call">,
  register: NonNullable<FormOf<"indirect-call">["register"]>,
): OutOfReach | undefined {
  const { at, next } = original;
  build.before(at);
  pushReturnAddress(build, next);
  build.unfinished(
    (registers) => {
      const target = addressOf(registers.read(register));
      if (target === undefined) registers.sp = offsetBy(registers.sp, WORD);
      registers.pc = target ?? at;
    },
    { at, pushed: WORD },
  );
  const jump = original.bytes.slice();
  turnCallInto("jump", jump, opcodeAt);
  build.code.append(jump);
  return undefined;
}

/**
 * call [mem]: `push` of the same operand makes the same accesses in the same order, and so raises the same faults.
 * The target then goes from the top of the stack into the word below, which is in the red zone before and after the
 * call: no signal handler overwrites it, and no program keeps anything there across a call. It makes room for the
 * return address, and the jump takes it from below.
 *
 * Where only the word below is not there, the processor faults and the program would not have: the rest is then
 * done for it, see `unfinished`.
 */
function emitCallThroughMemory(
  build: BlockBuilder,
  { original, opcodeAt }: FormOf<"indirect-call">,
): OutOfReach | undefined {
  const { at, next } = original;
  const push = build.isFar ? original.bytes.slice() : relocated(original, build.code.here);
  if (!(push instanceof Uint8Array)) return push;
  turnCallInto("push", push, opcodeAt);
  const { code } = build;
  build.before(at);
  code.append(push);
  build.unfinished(finishCall(at, next, { target: 0, slot: 0 }), undefined);
  code.bytes(0x8f, 0x44, 0x24, 0xf0); // pop [rsp-16]: from where the stack pointer is then
  build.unfinished(finishCall(at, next, { target: -2 * WORD, slot: -WORD }), { at, pushed: 0 });
  pushReturnAddress(build, next);
  build.unfinished(finishCall(at, next, { target: -WORD, slot: 0 }), { at, pushed: WORD });
  code.bytes(0xff, 0x64, 0x24, 0xf8); // jmp [rsp-8]
  return undefined;
}

/** @param from offsets from the stack pointer of the word that holds the target, and of the return address's */
function finishCall(
  at: Address,
  next: Address,
  from: { readonly target: number; readonly slot: number },
): (registers: RegisterFile, memory: EmulationMemory) => void {
  return (registers, memory) => {
    const { sp } = registers;
    const word = new Uint8Array(WORD);
    const view = new DataView(word.buffer);
    memory.read(offsetBy(sp, from.target), word);
    const target = addressOf(view.getBigUint64(0, true));
    const slot = offsetBy(sp, from.slot);
    if (target === undefined) {
      // The call itself has to fault.
      registers.sp = offsetBy(slot, WORD);
      registers.pc = at;
      return;
    }
    view.setBigUint64(0, toBigInt(next), true);
    memory.write(slot, word);
    registers.sp = slot;
    registers.pc = target;
  };
}
