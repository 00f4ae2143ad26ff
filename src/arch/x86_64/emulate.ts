import { type Address, addressOf, offsetBy, toBigInt } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import { EFLAGS, type RegisterFile, type RegisterName } from "./registers.js";

/** What emulation needs of the target's memory: part of the targets' `Memory`. */
export interface EmulationMemory {
  /** @throws MemoryFault where the instruction's own load would signal, or might not but cannot be told */
  read(at: Address, into: Uint8Array): void;
  /** @throws MemoryFault where the instruction's own store would signal */
  write(at: Address, bytes: Uint8Array): void;
}

/**
 * `done`: registers (program counter included) and memory are as the instruction leaves them. All
 * others: nothing was changed and the processor has to run it in a slot, for it would raise an
 * exception, or may.
 *
 * - `memory`: an access failed. Perhaps only ours: a page behind a userfaultfd answers the
 *   processor in the end; perhaps another thread maps the page in this moment.
 * - `not-canonical`: the way goes to an address that cannot be: #GP at the instruction itself.
 * - `trap-flag`: the program steps itself; the processor traps behind the instruction.
 * - `alignment-check`: the program has misaligned accesses trapped.
 */
export type Emulated = "done" | "memory" | "not-canonical" | "trap-flag" | "alignment-check";

/** Runs one instruction on a stopped thread's registers, which are at the instruction or the breakpoint on it. */
export type Emulate = (registers: RegisterFile, memory: EmulationMemory) => Emulated;

/** Where an indirect branch finds its target. */
export type TargetOperand = { readonly kind: "register"; readonly register: RegisterName } | MemoryOperand;

export interface MemoryOperand {
  readonly kind: "memory";
  readonly base: RegisterName | undefined;
  readonly index: RegisterName | undefined;
  readonly scale: number;
  /** Sign-extended; the absolute address where the operand is relative to the program counter. */
  readonly displacement: bigint;
  readonly segment: "fs_base" | "gs_base" | undefined;
  /** The sum is cut to 32 bits (67h) before the segment's base is added. */
  readonly cut: boolean;
}

/** nop, endbr, jmp rel: on to `target`. */
export function emulateJump(target: Address): Emulate {
  return (registers) => {
    if ((registers.eflags & EFLAGS.trap) !== 0) return "trap-flag";
    registers.pc = target;
    return "done";
  };
}

/** @param condition the low four bits of the jcc opcode */
export function emulateConditionalJump(condition: number, target: Address, next: Address): Emulate {
  return (registers) => {
    const flags = registers.eflags;
    if ((flags & EFLAGS.trap) !== 0) return "trap-flag";
    registers.pc = holds(condition, flags) ? target : next;
    return "done";
  };
}

/** The sixteen conditions of jcc, setcc and cmovcc. Intel SDM vol. 1, appendix B. */
function holds(condition: number, flags: number): boolean {
  const positive = holdsPlainly(condition >>> 1, flags);
  return (condition & 1) === 0 ? positive : !positive;
}

function holdsPlainly(pair: number, flags: number): boolean {
  const signed = ((flags & EFLAGS.sign) !== 0) !== ((flags & EFLAGS.overflow) !== 0);
  switch (pair) {
    case 0:
      return (flags & EFLAGS.overflow) !== 0;
    case 1:
      return (flags & EFLAGS.carry) !== 0;
    case 2:
      return (flags & EFLAGS.zero) !== 0;
    case 3:
      return (flags & (EFLAGS.carry | EFLAGS.zero)) !== 0;
    case 4:
      return (flags & EFLAGS.sign) !== 0;
    case 5:
      return (flags & EFLAGS.parity) !== 0;
    case 6:
      return signed;
    default:
      return signed || (flags & EFLAGS.zero) !== 0;
  }
}

export type CountedJump = "loopne" | "loope" | "loop" | "jrcxz";

/** @param narrow with 67h ecx counts, and the upper half of rcx becomes 0 where it is written */
export function emulateCountedJump(
  how: CountedJump,
  narrow: boolean,
  target: Address,
  next: Address,
): Emulate {
  const width = narrow ? 32 : 64;
  return (registers) => {
    const flags = registers.eflags;
    if ((flags & EFLAGS.trap) !== 0) return "trap-flag";
    let count = BigInt.asUintN(width, registers.read("rcx"));
    if (how !== "jrcxz") {
      count = BigInt.asUintN(width, count - 1n);
      registers.write("rcx", count);
    }
    registers.pc = jumps(how, count === 0n, (flags & EFLAGS.zero) !== 0) ? target : next;
    return "done";
  };
}

function jumps(how: CountedJump, countIsZero: boolean, zeroFlag: boolean): boolean {
  switch (how) {
    case "jrcxz":
      return countIsZero;
    case "loop":
      return !countIsZero;
    case "loope":
      return !countIsZero && zeroFlag;
    case "loopne":
      return !countIsZero && !zeroFlag;
  }
}

/** call rel32: `next` goes onto the stack, the true one, so that backtraces stay right. */
export function emulateCall(target: Address, next: Address): Emulate {
  return (registers, memory) =>
    stepsItself(registers) ? "trap-flag" : pushAndGo(registers, memory, toBigInt(next), target);
}

/** call reg, call [mem]. */
export function emulateIndirectCall(operand: TargetOperand, next: Address): Emulate {
  return (registers, memory) => {
    const target = targetOf(operand, registers, memory);
    if (typeof target === "string") return target;
    // Only now: a call that raises #GP needs another slot than one that the program steps over.
    return stepsItself(registers) ? "trap-flag" : pushAndGo(registers, memory, toBigInt(next), target);
  };
}

/** jmp reg, jmp [mem]. */
export function emulateIndirectJump(operand: TargetOperand): Emulate {
  return (registers, memory) => {
    if (stepsItself(registers)) return "trap-flag";
    const target = targetOf(operand, registers, memory);
    if (typeof target === "string") return target;
    registers.pc = target;
    return "done";
  };
}

/** @param released bytes of arguments taken off the stack behind the return address */
export function emulateReturn(released: number): Emulate {
  return (registers, memory) => {
    if (stepsItself(registers)) return "trap-flag";
    const sp = addressOf(registers.read("rsp"));
    if (sp === undefined) return "memory";
    const target = load(registers, memory, sp);
    if (typeof target === "string") return target;
    registers.pc = target;
    registers.sp = offsetBy(sp, WORD + released);
    return "done";
  };
}

function stepsItself(registers: RegisterFile): boolean {
  return (registers.eflags & EFLAGS.trap) !== 0;
}

const WORD = 8;
const PAGE = 4096;
const PRIVILEGE_LEVEL = 3n;

// One word on its way from or to the target; emulation is synchronous, so one is enough.
const word = new Uint8Array(WORD);
const wordView = new DataView(word.buffer);

/** In user mode only: to a kernel the flag says something else (SMAP). Intel SDM vol. 3A, 6.15, interrupt 17. */
function isCheckedAndMisaligned(registers: RegisterFile, at: Address): boolean {
  return (
    (registers.eflags & EFLAGS.alignmentCheck) !== 0 &&
    at % WORD !== 0 &&
    (registers.read("cs") & PRIVILEGE_LEVEL) === PRIVILEGE_LEVEL
  );
}

function pushAndGo(
  registers: RegisterFile,
  memory: EmulationMemory,
  value: bigint,
  target: Address,
): Emulated {
  const below = addressOf(BigInt.asUintN(64, registers.read("rsp") - BigInt(WORD)));
  if (below === undefined) return "memory";
  if (isCheckedAndMisaligned(registers, below)) return "alignment-check";
  // The processor's store is whole or not at all; ours into a good page and a bad one might be half.
  if (((below % PAGE) + PAGE) % PAGE > PAGE - WORD) return "memory";
  wordView.setBigUint64(0, value, true);
  try {
    memory.write(below, word);
  } catch (fault) {
    if (fault instanceof MemoryFault) return "memory";
    throw fault;
  }
  registers.sp = below;
  registers.pc = target;
  return "done";
}

type NoTarget = Extract<Emulated, "memory" | "not-canonical" | "alignment-check">;

function targetOf(
  operand: TargetOperand,
  registers: RegisterFile,
  memory: EmulationMemory,
): Address | NoTarget {
  if (operand.kind === "register") return addressOf(registers.read(operand.register)) ?? "not-canonical";
  const at = addressOf(effectiveAddress(operand, registers));
  return at === undefined ? "memory" : load(registers, memory, at);
}

function load(registers: RegisterFile, memory: EmulationMemory, at: Address): Address | NoTarget {
  if (isCheckedAndMisaligned(registers, at)) return "alignment-check";
  try {
    memory.read(at, word);
  } catch (fault) {
    if (fault instanceof MemoryFault) return "memory";
    throw fault;
  }
  return addressOf(wordView.getBigUint64(0, true)) ?? "not-canonical";
}

/** Linear address of a memory operand, not checked to be canonical. */
function effectiveAddress(operand: MemoryOperand, registers: RegisterFile): bigint {
  let sum = operand.displacement;
  if (operand.base !== undefined) sum += registers.read(operand.base);
  if (operand.index !== undefined) sum += registers.read(operand.index) * BigInt(operand.scale);
  sum = BigInt.asUintN(operand.cut ? 32 : 64, sum);
  return operand.segment === undefined ? sum : BigInt.asUintN(64, sum + registers.read(operand.segment));
}
