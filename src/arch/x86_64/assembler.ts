import { type Address, offsetBy } from "../../base/address.js";
import { MachineCode, reaches } from "./machine-code.js";

/** Numbers as the processor encodes them: Intel SDM vol. 2, 2.2.1.2. */
// prettier-ignore
const NUMBERS = {
  rax: 0, rcx: 1, rdx: 2, rbx: 3, rsp: 4, rbp: 5, rsi: 6, rdi: 7,
  r8: 8, r9: 9, r10: 10, r11: 11, r12: 12, r13: 13, r14: 14, r15: 15,
} as const;

/** A general register, all 64 bits of it. */
export type General = keyof typeof NUMBERS;

/** All of them, in the order of their numbers. */
export const GENERAL_REGISTERS = Object.keys(NUMBERS) as readonly General[];

export type MemoryOperand =
  /** `[base + index * scale + displacement]`. */
  | {
      readonly base: General;
      readonly index?: General;
      readonly scale?: 1 | 2 | 4 | 8;
      readonly displacement?: number;
    }
  /** Relative to the instruction: an address within ±2 GiB of it. */
  | { readonly at: Address };

/** A register or memory. */
export type Operand = General | MemoryOperand;

/** Condition codes: Intel SDM vol. 2, appendix B, table B-10. */
// prettier-ignore
const CONDITIONS = {
  overflow: 0, below: 2, "above-or-equal": 3, equal: 4, "not-equal": 5, "below-or-equal": 6, above: 7,
  negative: 8, less: 12, "greater-or-equal": 13, "less-or-equal": 14, greater: 15,
} as const;

export type Condition = keyof typeof CONDITIONS;

/** Positions in the first group of opcodes: Intel SDM vol. 2, appendix A.4, group 1. */
const ARITHMETIC = { add: 0, or: 1, and: 4, sub: 5, xor: 6, cmp: 7 } as const;
export type ArithmeticName = keyof typeof ARITHMETIC;

/** Group 2. */
const SHIFTS = { rol: 0, shl: 4, shr: 5, sar: 7 } as const;
export type ShiftName = keyof typeof SHIFTS;

/** Group 3, operands of 64 bits. */
const UNARY = { not: 2, neg: 3, div: 6, idiv: 7 } as const;

/** Which code an instruction has a place in: made by {@link Assembler.label}, put down by `bind`. */
export interface Label {
  readonly number: number;
}

const LOCK = 0xf0;

/** A branch did not reach: {@link assembleAt} tries again with a longer form of it. */
class BranchTooFar extends Error {
  constructor(readonly branches: readonly number[]) {
    super("a short branch does not reach");
  }
}

/**
 * Assembles for one address, each branch in its shortest form.
 *
 * @param body emits the code; it is called several times, and must emit the same each time
 */
export function assembleAt<Result>(
  start: Address,
  body: (assembler: Assembler) => Result,
): { readonly bytes: Uint8Array; readonly result: Result } {
  const long = new Set<number>();
  for (;;) {
    const assembler = new Assembler(start, long);
    const result = body(assembler);
    try {
      return { bytes: assembler.finish(), result };
    } catch (error) {
      if (!(error instanceof BranchTooFar)) throw error;
      for (const branch of error.branches) long.add(branch);
    }
  }
}

interface Branch {
  /** Position of the displacement. */
  readonly field: number;
  readonly size: 1 | 4;
  readonly to: Label;
}

/**
 * The instructions that handlers are made of, on operands of 64 bits unless their names say otherwise.
 * Encodings: Intel SDM vol. 2.
 */
export class Assembler {
  private readonly code: MachineCode;
  private readonly places: (number | undefined)[] = [];
  private readonly branches: Branch[] = [];

  /** @param long numbers of the branches, as they come, that a displacement of 8 bits does not reach with */
  constructor(
    start: Address,
    private readonly long: ReadonlySet<number>,
  ) {
    this.code = new MachineCode(start);
  }

  /** Offset of the next byte. */
  get length(): number {
    return this.code.length;
  }

  label(): Label {
    return { number: this.places.push(undefined) - 1 };
  }

  /** The label means the next byte. */
  bind(label: Label): void {
    this.places[label.number] = this.code.length;
  }

  bytes(bytes: Uint8Array): void {
    this.code.append(bytes);
  }

  /** @throws BranchTooFar for {@link assembleAt} */
  finish(): Uint8Array {
    const short: number[] = [];
    this.branches.forEach(({ field, size, to }, number) => {
      const place = this.places[to.number];
      if (place === undefined) throw new Error("a branch goes to a label that is nowhere");
      const distance = place - field - size;
      if (size === 4) this.code.patchInt32(field, distance);
      else if (distance >= -128 && distance <= 127) this.code.patchInt8(field, distance);
      else short.push(number);
    });
    if (short.length > 0) throw new BranchTooFar(short);
    return this.code.finish();
  }

  // Moves.

  move(to: General, from: Operand): void {
    this.modRm([0x8b], to, from);
  }

  /** The shortest form; no flag changes. */
  moveConstant(to: General, value: bigint): void {
    const signed = BigInt.asIntN(64, value);
    const number = NUMBERS[to];
    if (signed >= 0n && signed <= 0xffff_ffffn) {
      if (number >= 8) this.code.bytes(0x41);
      this.code.bytes(0xb8 + (number & 7));
      this.code.int32(Number(signed));
    } else if (isInt32(signed)) {
      this.modRm([0xc7], 0, to);
      this.code.int32(Number(signed));
    } else {
      this.code.bytes(0x48 | (number >> 3), 0xb8 + (number & 7));
      this.code.int64(BigInt.asUintN(64, signed));
    }
  }

  store(to: MemoryOperand, from: General): void {
    this.modRm([0x89], from, to);
  }

  /** @param value of 32 bits, sign-extended */
  storeConstant(to: MemoryOperand, value: number): void {
    this.modRm([0xc7], 0, to, { immediate: 4 });
    this.code.int32(value);
  }

  /** 4 bytes. */
  storeConstant32(to: MemoryOperand, value: number): void {
    this.modRm([0xc7], 0, to, { immediate: 4, wide: false });
    this.code.int32(value);
  }

  loadEffective(to: General, of: MemoryOperand): void {
    this.modRm([0x8d], to, of);
  }

  /** An integer of 1, 2, 4 or 8 bytes, of memory or from the low end of a register. */
  extend(to: General, from: Operand, bytes: 1 | 2 | 4 | 8, signed: boolean): void {
    switch (bytes) {
      case 1:
        return this.modRm([0x0f, signed ? 0xbe : 0xb6], to, from, { wide: signed, bytes: true });
      case 2:
        return this.modRm([0x0f, signed ? 0xbf : 0xb7], to, from, { wide: signed });
      case 4:
        return signed ? this.modRm([0x63], to, from) : this.modRm([0x8b], to, from, { wide: false });
      case 8:
        return this.move(to, from);
    }
  }

  // Arithmetic.

  arithmetic(name: ArithmeticName, to: General, from: Operand): void {
    this.modRm([(ARITHMETIC[name] << 3) | 3], to, from);
  }

  /** @param value of 32 bits, sign-extended */
  arithmeticConstant(name: ArithmeticName, to: Operand, value: number, lock = false): void {
    const small = value >= -128 && value <= 127;
    this.modRm([small ? 0x83 : 0x81], ARITHMETIC[name], to, { immediate: small ? 1 : 4, lock });
    if (small) this.code.bytes(value & 0xff);
    else this.code.int32(value);
  }

  arithmeticMemory(name: ArithmeticName, to: MemoryOperand, from: General, lock = false): void {
    this.modRm([(ARITHMETIC[name] << 3) | 1], from, to, { lock });
  }

  increment(to: Operand, lock = false): void {
    this.modRm([0xff], 0, to, { lock });
  }

  decrement(to: Operand, lock = false): void {
    this.modRm([0xff], 1, to, { lock });
  }

  test(one: General, other: General): void {
    this.modRm([0x85], other, one);
  }

  /** One byte. */
  testByte(at: MemoryOperand, mask: number): void {
    this.modRm([0xf6], 0, at, { immediate: 1, wide: false });
    this.code.bytes(mask);
  }

  multiply(to: General, by: Operand): void {
    this.modRm([0x0f, 0xaf], to, by);
  }

  /** `to = from * value`. */
  multiplyConstant(to: General, from: Operand, value: number): void {
    const small = value >= -128 && value <= 127;
    this.modRm([small ? 0x6b : 0x69], to, from, { immediate: small ? 1 : 4 });
    if (small) this.code.bytes(value & 0xff);
    else this.code.int32(value);
  }

  unary(name: keyof typeof UNARY, operand: Operand): void {
    this.modRm([0xf7], UNARY[name], operand);
  }

  /** The sign of rax into all of rdx. */
  signIntoRdx(): void {
    this.code.bytes(0x48, 0x99);
  }

  shift(name: ShiftName, to: General, count: number): void {
    if (count === 1) return this.modRm([0xd1], SHIFTS[name], to);
    this.modRm([0xc1], SHIFTS[name], to);
    this.code.bytes(count);
  }

  /** By the low 6 bits of rcx. */
  shiftByCl(name: ShiftName, to: General): void {
    this.modRm([0xd3], SHIFTS[name], to);
  }

  /** Position of the highest bit that is set; nothing but flags where none is. */
  highestBit(to: General, from: Operand): void {
    this.modRm([0x0f, 0xbd], to, from);
  }

  /** 1 or 0 into the low byte of a register. */
  setByte(condition: Condition, to: General): void {
    this.modRm([0x0f, 0x90 + CONDITIONS[condition]], 0, to, { wide: false, bytes: true });
  }

  // What several threads may do at once.

  /** The old value is in `value` then. */
  lockedExchangeAdd(at: MemoryOperand, value: General): void {
    this.modRm([0x0f, 0xc1], value, at, { lock: true });
  }

  /** Where rax is what is there, `desired` is put there; else rax is what is there. */
  lockedCompareExchange(at: MemoryOperand, desired: General): void {
    this.modRm([0x0f, 0xb1], desired, at, { lock: true });
  }

  pause(): void {
    this.code.bytes(0xf3, 0x90);
  }

  // The stack and the flags.

  push(register: General): void {
    this.short(0x50, register);
  }

  pop(register: General): void {
    this.short(0x58, register);
  }

  pushFlags(): void {
    this.code.bytes(0x9c);
  }

  popFlags(): void {
    this.code.bytes(0x9d);
  }

  /** Sign, zero, auxiliary carry, parity and carry into ah. */
  flagsToAh(): void {
    this.code.bytes(0x9f);
  }

  ahToFlags(): void {
    this.code.bytes(0x9e);
  }

  /** Sets the overflow flag where 128 is passed. */
  addToAl(value: number): void {
    this.code.bytes(0x04, value);
  }

  andAl(mask: number): void {
    this.code.bytes(0x24, mask);
  }

  /** Low and high byte of ax change places; only carry and overflow change. */
  swapAx(): void {
    this.code.bytes(0x66, 0xc1, 0xc0, 0x08);
  }

  // Ways through the code.

  jump(to: Label): void {
    this.branch([0xeb], [0xe9], to);
  }

  jumpIf(condition: Condition, to: Label): void {
    const code = CONDITIONS[condition];
    this.branch([0x70 + code], [0x0f, 0x80 + code], to);
  }

  private branch(short: readonly number[], near: readonly number[], to: Label): void {
    const isLong = this.long.has(this.branches.length);
    this.code.bytes(...(isLong ? near : short));
    this.branches.push({ field: this.code.length, size: isLong ? 4 : 1, to });
    this.code.bytes(...(isLong ? [0, 0, 0, 0] : [0]));
  }

  private short(opcode: number, register: General): void {
    const number = NUMBERS[register];
    if (number >= 8) this.code.bytes(0x41);
    this.code.bytes(opcode + (number & 7));
  }

  /** Prefixes, opcode, ModRM, SIB and displacement: Intel SDM vol. 2, 2.1.5 and 2.2.1. */
  private modRm(
    opcode: readonly number[],
    registerOrExtension: General | number,
    operand: Operand,
    { lock = false, wide = true, bytes = false, immediate = 0 }: Form = {},
  ): void {
    const field =
      typeof registerOrExtension === "number" ? registerOrExtension : NUMBERS[registerOrExtension];
    if (lock) this.code.bytes(LOCK);
    let rex = (wide ? 8 : 0) | ((field >> 3) << 2);
    if (typeof operand === "string") {
      const number = NUMBERS[operand];
      rex |= number >> 3;
      // Without a REX prefix, numbers 4 to 7 are ah, ch, dh and bh where bytes are meant.
      if (rex !== 0 || (bytes && number >= 4)) this.code.bytes(0x40 | rex);
      this.code.bytes(...opcode, 0xc0 | ((field & 7) << 3) | (number & 7));
      return;
    }
    if ("at" in operand) {
      if (rex !== 0) this.code.bytes(0x40 | rex);
      this.code.bytes(...opcode, ((field & 7) << 3) | 5);
      const distance = operand.at - offsetBy(this.code.here, 4 + immediate);
      if (!reaches(distance)) throw new RangeError("the operand is out of reach of the code");
      this.code.int32(distance);
      return;
    }
    const { base, index, scale = 1, displacement = 0 } = operand;
    const number = NUMBERS[base];
    rex |= (number >> 3) | (index === undefined ? 0 : (NUMBERS[index] >> 3) << 1);
    if (rex !== 0) this.code.bytes(0x40 | rex);
    // rbp and r13 as a base without displacement would mean something else.
    const size =
      displacement === 0 && (number & 7) !== 5 ? 0 : displacement >= -128 && displacement <= 127 ? 1 : 4;
    const mode = (size === 4 ? 2 : size) << 6;
    const needsSib = index !== undefined || (number & 7) === 4;
    this.code.bytes(...opcode, mode | ((field & 7) << 3) | (needsSib ? 4 : number & 7));
    if (needsSib) {
      // 4 stands for no index: rsp cannot be one.
      if (index === "rsp") throw new RangeError("rsp is no index");
      const indexNumber = index === undefined ? 4 : NUMBERS[index] & 7;
      this.code.bytes((Math.log2(scale) << 6) | (indexNumber << 3) | (number & 7));
    }
    if (size === 1) this.code.bytes(displacement & 0xff);
    else if (size === 4) this.code.int32(displacement);
  }
}

interface Form {
  readonly lock?: boolean;
  /** Operands of 64 bits; else of 32, or what the opcode says. */
  readonly wide?: boolean;
  /** The register operand is a byte. */
  readonly bytes?: boolean;
  /** Bytes that follow the displacement. */
  readonly immediate?: number;
}

/** Whether 32 bits, sign-extended, hold it. */
export function isInt32(value: bigint): boolean {
  return BigInt.asIntN(32, value) === value;
}
