import { type Address, addressOf } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { Emulate, EmulationMemory } from "./emulate.js";
import { type Instruction, MemorySize, Mnemonic, OpKind, Register } from "./iced.js";
import { EFLAGS, type RegisterFile, type RegisterName } from "./registers.js";

/**
 * Emulates instructions that go on behind themselves: what compilers put at the beginning of functions.
 * For targets where executing an instruction costs more than a few reads and writes of registers; all
 * others have the processor do it. Registers, flags and stack are bit for bit the processor's own.
 *
 * @param mayAccess which memory; default: a kernel's own. A user's page that is read without the processor
 *                  doing it would not be marked as accessed.
 * @returns undefined where the instruction is none of these
 */
export function emulateStraight(
  instruction: Instruction,
  next: Address,
  mayAccess: MayAccess = isKernels,
): Emulate | undefined {
  const run = operation(instruction, mayAccess);
  if (run === undefined) return undefined;
  return (registers, memory) => {
    if ((registers.eflags & EFLAGS.trap) !== 0) return "trap-flag";
    try {
      if (!run(registers, memory)) return "memory";
    } catch (fault) {
      if (fault instanceof MemoryFault) return "memory";
      throw fault;
    }
    registers.pc = next;
    return "done";
  };
}

type MayAccess = (at: Address) => boolean;

function isKernels(at: Address): boolean {
  return at < 0;
}

/** @returns false where memory is in the way; nothing was changed then */
type Run = (registers: RegisterFile, memory: EmulationMemory) => boolean;

/** Reads an operand, as an unsigned number of its width. @returns undefined where it must not be read */
type Source = (registers: RegisterFile, memory: EmulationMemory) => bigint | undefined;

interface Part {
  readonly name: RegisterName;
  /** Bits. */
  readonly width: number;
  /** Of ah, bh, ch, dh: 8. */
  readonly shift: number;
}

function operation(instruction: Instruction, mayAccess: MayAccess): Run | undefined {
  if (instruction.hasLockPrefix || instruction.hasRepPrefix || instruction.hasRepnePrefix) return undefined;
  switch (instruction.mnemonic) {
    case Mnemonic.Push:
      return push(instruction, mayAccess);
    case Mnemonic.Cli:
      return holdInterrupts;
    case Mnemonic.Lea:
      return lea(instruction);
    case Mnemonic.Mov:
    case Mnemonic.Movzx:
      return move(instruction, mayAccess, (value) => value);
    case Mnemonic.Movsx:
    case Mnemonic.Movsxd: {
      const from = sourceWidth(instruction);
      return from === undefined
        ? undefined
        : move(instruction, mayAccess, (value) => BigInt.asIntN(from, value));
    }
    default: {
      const arithmetic = ARITHMETIC.get(instruction.mnemonic);
      return arithmetic && twoOperands(instruction, mayAccess, arithmetic);
    }
  }
}

function move(
  instruction: Instruction,
  mayAccess: MayAccess,
  extend: (value: bigint) => bigint,
): Run | undefined {
  const to = partOf(instruction, 0);
  const from = source(instruction, 1, mayAccess);
  if (to === undefined || from === undefined) return undefined;
  return (registers, memory) => {
    const value = from(registers, memory);
    if (value === undefined) return false;
    put(registers, to, extend(value));
    return true;
  };
}

function lea(instruction: Instruction): Run | undefined {
  const to = partOf(instruction, 0);
  const address = effectiveAddress(instruction);
  if (to === undefined || address === undefined || instruction.op1Kind !== OpKind.Memory) return undefined;
  return (registers) => {
    put(registers, to, address(registers));
    return true;
  };
}

const PRIVILEGE_LEVEL = 3n;
const INTERRUPTS = 0x200n;

/** For a kernel only: what it does for others depends on more than their registers. */
const holdInterrupts: Run = (registers) => {
  if ((registers.read("cs") & PRIVILEGE_LEVEL) !== 0n) return false;
  registers.write("eflags", registers.read("eflags") & ~INTERRUPTS);
  return true;
};

const WORD = 8;
const PAGE = 4096;
const word = new Uint8Array(WORD);
const view = new DataView(word.buffer);

function push(instruction: Instruction, mayAccess: MayAccess): Run | undefined {
  const from = partOf(instruction, 0);
  if (from?.width !== 64) return undefined;
  return (registers, memory) => {
    const below = addressOf(BigInt.asUintN(64, registers.read("rsp") - BigInt(WORD)));
    if (below === undefined || !mayAccess(below)) return false;
    // The processor's store is whole or not at all.
    if (((below % PAGE) + PAGE) % PAGE > PAGE - WORD) return false;
    view.setBigUint64(0, registers.read(from.name), true);
    memory.write(below, word);
    registers.sp = below;
    return true;
  };
}

interface Arithmetic {
  /** Whether the destination is written. */
  readonly keeps: boolean;
  readonly compute: (
    left: bigint,
    right: bigint,
    width: number,
  ) => { readonly result: bigint; readonly flags: number };
}

const logic = (combine: (left: bigint, right: bigint) => bigint, keeps: boolean): Arithmetic => ({
  keeps,
  // The adjust flag is undefined there; every processor clears it.
  compute: (left, right, width) => {
    const result = combine(left, right);
    return { result, flags: flagsOf(result, width) };
  },
});

const subtract = (keeps: boolean): Arithmetic => ({
  keeps,
  compute: (left, right, width) => {
    const result = BigInt.asUintN(width, left - right);
    const overflows = topBit((left ^ right) & (left ^ result), width);
    const flags = (left < right ? EFLAGS.carry : 0) | (overflows ? EFLAGS.overflow : 0);
    return { result, flags: flags | adjust(left, right, result) | flagsOf(result, width) };
  },
});

const ARITHMETIC: ReadonlyMap<Mnemonic, Arithmetic> = new Map<Mnemonic, Arithmetic>([
  [Mnemonic.And, logic((left, right) => left & right, true)],
  [Mnemonic.Or, logic((left, right) => left | right, true)],
  [Mnemonic.Xor, logic((left, right) => left ^ right, true)],
  [Mnemonic.Test, logic((left, right) => left & right, false)],
  [Mnemonic.Sub, subtract(true)],
  [Mnemonic.Cmp, subtract(false)],
  [
    Mnemonic.Add,
    {
      keeps: true,
      compute: (left, right, width) => {
        const sum = left + right;
        const result = BigInt.asUintN(width, sum);
        const overflows = topBit(~(left ^ right) & (left ^ result), width);
        const flags = (result !== sum ? EFLAGS.carry : 0) | (overflows ? EFLAGS.overflow : 0);
        return { result, flags: flags | adjust(left, right, result) | flagsOf(result, width) };
      },
    },
  ],
]);

/** Carry out of the low four bits. */
const ADJUST = 0x10;
const STATUS = BigInt(EFLAGS.carry | EFLAGS.parity | ADJUST | EFLAGS.zero | EFLAGS.sign | EFLAGS.overflow);

function twoOperands(
  instruction: Instruction,
  mayAccess: MayAccess,
  { keeps, compute }: Arithmetic,
): Run | undefined {
  const to = partOf(instruction, 0);
  const left = keeps ? to && reading(to) : source(instruction, 0, mayAccess);
  const right = source(instruction, 1, mayAccess);
  const width = to?.width ?? 8 * memoryBytes(instruction);
  if (left === undefined || right === undefined || width === 0) return undefined;
  return (registers, memory) => {
    const one = left(registers, memory);
    const other = right(registers, memory);
    if (one === undefined || other === undefined) return false;
    const { result, flags } = compute(one, BigInt.asUintN(width, other), width);
    if (keeps && to !== undefined) put(registers, to, result);
    registers.write("eflags", (registers.read("eflags") & ~STATUS) | BigInt(flags));
    return true;
  };
}

function flagsOf(result: bigint, width: number): number {
  let flags = result === 0n ? EFLAGS.zero : 0;
  if (topBit(result, width)) flags |= EFLAGS.sign;
  let low = Number(result & 0xffn);
  low ^= low >> 4;
  low ^= low >> 2;
  low ^= low >> 1;
  return (low & 1) === 0 ? flags | EFLAGS.parity : flags;
}

function adjust(left: bigint, right: bigint, result: bigint): number {
  return Number((left ^ right ^ result) & 0x10n);
}

function topBit(value: bigint, width: number): boolean {
  return BigInt.asUintN(width, value) >> BigInt(width - 1) === 1n;
}

/** An operand that is read: a register, a constant, memory of the kernel. */
function source(instruction: Instruction, index: number, mayAccess: MayAccess): Source | undefined {
  const kind = instruction.opKind(index);
  switch (kind) {
    case OpKind.Register: {
      const part = partOf(instruction, index);
      return part && reading(part);
    }
    case OpKind.Memory:
      return loading(instruction, mayAccess);
    default: {
      const value = constantOf(instruction, index, kind);
      return value === undefined ? undefined : () => value;
    }
  }
}

function constantOf(instruction: Instruction, index: number, kind: OpKind): bigint | undefined {
  switch (kind) {
    case OpKind.Immediate8:
    case OpKind.Immediate16:
    case OpKind.Immediate32:
    case OpKind.Immediate64:
    case OpKind.Immediate8to16:
    case OpKind.Immediate8to32:
    case OpKind.Immediate8to64:
    case OpKind.Immediate32to64:
      return instruction.immediate(index);
    default:
      return undefined;
  }
}

function loading(instruction: Instruction, mayAccess: MayAccess): Source | undefined {
  const bytes = memoryBytes(instruction);
  const address = effectiveAddress(instruction);
  const segment = segmentOf(instruction);
  if (bytes === 0 || address === undefined || segment === "other") return undefined;
  return (registers, memory) => {
    let linear = address(registers);
    if (segment !== undefined) linear = BigInt.asUintN(64, linear + registers.read(segment));
    const at = addressOf(linear);
    // A user's, or one that is none: the processor has to say.
    if (at === undefined || !mayAccess(at)) return undefined;
    word.fill(0);
    memory.read(at, word.subarray(0, bytes));
    return view.getBigUint64(0, true);
  };
}

function segmentOf(instruction: Instruction): "fs_base" | "gs_base" | "other" | undefined {
  switch (instruction.segmentPrefix) {
    case Register.None:
      return undefined;
    case Register.FS:
      return "fs_base";
    case Register.GS:
      return "gs_base";
    default:
      return "other";
  }
}

/** Without the segment's base. */
function effectiveAddress(instruction: Instruction): ((registers: RegisterFile) => bigint) | undefined {
  if (instruction.isIpRelMemoryOperand) {
    const absolute = instruction.ipRelMemoryAddress;
    return instruction.memoryBase === Register.RIP ? () => absolute : undefined;
  }
  const { memoryBase, memoryIndex } = instruction;
  const base = memoryBase === Register.None ? undefined : part(memoryBase);
  const index = memoryIndex === Register.None ? undefined : part(memoryIndex);
  if (memoryBase !== Register.None && base?.width !== 64) return undefined;
  if (memoryIndex !== Register.None && index?.width !== 64) return undefined;
  const scale = BigInt(instruction.memoryIndexScale);
  const displacement = instruction.memoryDisplacementU64;
  return (registers) => {
    let sum = displacement;
    if (base !== undefined) sum += registers.read(base.name);
    if (index !== undefined) sum += registers.read(index.name) * scale;
    return BigInt.asUintN(64, sum);
  };
}

/** Bytes of an operand in memory; 0 where it is not a plain number. */
function memoryBytes(instruction: Instruction): number {
  switch (instruction.memorySize) {
    case MemorySize.UInt8:
    case MemorySize.Int8:
      return 1;
    case MemorySize.UInt16:
    case MemorySize.Int16:
      return 2;
    case MemorySize.UInt32:
    case MemorySize.Int32:
      return 4;
    case MemorySize.UInt64:
    case MemorySize.Int64:
      return 8;
    default:
      return 0;
  }
}

/** Bits of the second operand. */
function sourceWidth(instruction: Instruction): number | undefined {
  if (instruction.op1Kind === OpKind.Memory) return 8 * memoryBytes(instruction) || undefined;
  return partOf(instruction, 1)?.width;
}

function partOf(instruction: Instruction, index: number): Part | undefined {
  return instruction.opKind(index) === OpKind.Register ? part(instruction.opRegister(index)) : undefined;
}

/** In the order of the processor's register numbers. */
// prettier-ignore
const GENERAL: readonly RegisterName[] = [
  "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];
const HIGH_BYTES = [Register.AH, Register.CH, Register.DH, Register.BH];
const LOW_BYTES = [Register.AL, Register.CL, Register.DL, Register.BL];

function part(register: Register): Part | undefined {
  const high = HIGH_BYTES.indexOf(register);
  if (high >= 0) return named(high, 8, 8);
  const low = LOW_BYTES.indexOf(register);
  if (low >= 0) return named(low, 8, 0);
  if (register >= Register.SPL && register <= Register.R15L) return named(register - Register.SPL + 4, 8, 0);
  if (register >= Register.AX && register <= Register.R15W) return named(register - Register.AX, 16, 0);
  if (register >= Register.EAX && register <= Register.R15D) return named(register - Register.EAX, 32, 0);
  if (register >= Register.RAX && register <= Register.R15) return named(register - Register.RAX, 64, 0);
  return undefined;
}

function named(number: number, width: number, shift: number): Part | undefined {
  const name = GENERAL[number];
  return name && { name, width, shift };
}

function reading({ name, width, shift }: Part): Source {
  return (registers) => BigInt.asUintN(width, registers.read(name) >> BigInt(shift));
}

/** Writes to 32 bits clear the upper half, those to fewer leave the rest. Intel SDM vol. 1, 3.4.1.1. */
function put(registers: RegisterFile, { name, width, shift }: Part, value: bigint): void {
  const bits = BigInt.asUintN(width, value);
  if (width >= 32) {
    registers.write(name, bits);
    return;
  }
  const mask = ((1n << BigInt(width)) - 1n) << BigInt(shift);
  registers.write(name, (registers.read(name) & ~mask) | (bits << BigInt(shift)));
}
