import type { Address } from "../../base/address.js";
import type { Memory } from "../../targets/target.js";

/** What a program had in its registers when it entered the kernel. */
export interface UserRegisters {
  /** Of the system call. */
  readonly number: number;
  /** Of the system call, in order. */
  readonly arguments: readonly bigint[];
  readonly ip: bigint;
  readonly sp: bigint;
}

/** Positions in `struct pt_regs`, in words. Linux, arch/x86/include/asm/ptrace.h: part of the ABI. */
const WORD = {
  ...{ bp: 4, bx: 5, r10: 7, r9: 8, r8: 9, cx: 11, dx: 12, si: 13, di: 14 },
  ...{ originalAx: 15, ip: 16, sp: 19 },
} as const;
const WORDS = 21;
/** System V AMD64 ABI, A.2.1; for 32-bit programs Linux, arch/x86/entry/entry_64_compat.S. */
const ARGUMENTS = {
  native: ["di", "si", "dx", "r10", "r8", "r9"],
  compat: ["bx", "cx", "dx", "si", "di", "bp"],
} as const;

/** @throws MemoryFault nothing is there */
export function readUserRegisters(memory: Memory, at: Address, abi: keyof typeof ARGUMENTS): UserRegisters {
  const bytes = new Uint8Array(8 * WORDS);
  memory.read(at, bytes);
  const view = new DataView(bytes.buffer);
  const word = (name: keyof typeof WORD): bigint => view.getBigUint64(8 * WORD[name], true);
  return {
    number: Number(BigInt.asIntN(32, word("originalAx"))),
    arguments: ARGUMENTS[abi].map(word),
    ip: word("ip"),
    sp: word("sp"),
  };
}
