import { type Address, addressFromHalves } from "../../base/address.js";

/**
 * Order of the general registers in a {@link RegisterFile}: Linux `struct user_regs_struct`,
 * so that a process target reads and writes it without conversion.
 * arch/x86/include/asm/user_64.h.
 */
// prettier-ignore
export const REGISTERS = [
  "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8",
  "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs", "eflags",
  "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
] as const;

export type RegisterName = (typeof REGISTERS)[number];

const INDEX = Object.fromEntries(REGISTERS.map((name, index) => [name, index])) as Record<
  RegisterName,
  number
>;

/** Position of a register in {@link RegisterFile.values}. */
export function registerIndex(name: RegisterName): number {
  return INDEX[name];
}

const RIP = INDEX.rip;
const RSP = INDEX.rsp;
const EFLAGS_INDEX = INDEX.eflags;
const HALF = 2 ** 32;

/** Bits of EFLAGS that the engine names. Intel SDM vol. 1, 3.4.3. */
export const EFLAGS = {
  carry: 0x1,
  parity: 0x4,
  zero: 0x40,
  sign: 0x80,
  trap: 0x100,
  direction: 0x400,
  overflow: 0x800,
  resume: 0x10000,
  alignmentCheck: 0x40000,
} as const;

/**
 * The general registers of one stopped thread. Using `pc`, `sp` and `eflags` allocates nothing.
 * `dirty` says that something was written since the target filled it; the target writes the
 * registers back when the thread is resumed, and only then.
 */
export class RegisterFile {
  readonly values: BigUint64Array;
  readonly bytes: Uint8Array;
  dirty = false;
  private readonly halves: Uint32Array;

  /**
   * @param buffer shared with who fills it
   * @param offset bytes, a multiple of 8; 8 × {@link REGISTERS}.length bytes from there are used
   */
  constructor(buffer: ArrayBufferLike = new ArrayBuffer(8 * REGISTERS.length), offset = 0) {
    this.values = new BigUint64Array(buffer, offset, REGISTERS.length);
    this.bytes = new Uint8Array(buffer, offset, 8 * REGISTERS.length);
    this.halves = new Uint32Array(buffer, offset, 2 * REGISTERS.length);
  }

  get pc(): Address {
    return this.pointer(RIP);
  }

  set pc(at: Address) {
    this.setPointer(RIP, at);
  }

  get sp(): Address {
    return this.pointer(RSP);
  }

  set sp(at: Address) {
    this.setPointer(RSP, at);
  }

  /** The flags, see {@link EFLAGS}; the upper half of the register is reserved and 0. */
  get eflags(): number {
    return this.halves[2 * EFLAGS_INDEX] as number;
  }

  read(name: RegisterName): bigint {
    // The index comes from the table that sized the array.
    return this.values[INDEX[name]] as bigint;
  }

  write(name: RegisterName, value: bigint): void {
    this.values[INDEX[name]] = BigInt.asUintN(64, value);
    this.dirty = true;
  }

  private pointer(index: number): Address {
    return addressFromHalves(this.halves[2 * index] as number, this.halves[2 * index + 1] as number);
  }

  private setPointer(index: number, at: Address): void {
    this.halves[2 * index] = at % HALF; // stored modulo 2^32: two's complement for kernel addresses
    this.halves[2 * index + 1] = Math.floor(at / HALF);
    this.dirty = true;
  }
}
