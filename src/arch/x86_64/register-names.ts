import type { RegisterFile, RegisterName } from "./registers.js";

/** What a name that scripts use for a register, or for a part of one, stands for. */
export interface RegisterPart {
  readonly register: RegisterName;
  /** 8, 16, 32 or 64. */
  readonly bits: 8 | 16 | 32 | 64;
  /** Position of the lowest bit: 8 for ah, bh, ch, dh; else 0. */
  readonly shift: 0 | 8;
}

type Row = readonly [name: string, register: RegisterName, bits: RegisterPart["bits"], shift?: 8];

/**
 * Names that `register()` and `u_register()` take.
 *
 * All that SystemTap documents for x86_64 mean here what they mean there (function::register,
 * SystemTap Tapset Reference): a name without prefix (`ax`) is the whole 64-bit register, one with
 * `e` its lower half. The parts that only assemblers name (`al`, `ah`, `r8d`, `r8w`, `r8b`, `sil`)
 * come in addition; there is no name for the 16-bit parts of the first eight.
 */
// prettier-ignore
const ROWS: readonly Row[] = [
  ["rax", "rax", 64], ["ax", "rax", 64], ["eax", "rax", 32], ["al", "rax", 8], ["ah", "rax", 8, 8],
  ["rbx", "rbx", 64], ["bx", "rbx", 64], ["ebx", "rbx", 32], ["bl", "rbx", 8], ["bh", "rbx", 8, 8],
  ["rcx", "rcx", 64], ["cx", "rcx", 64], ["ecx", "rcx", 32], ["cl", "rcx", 8], ["ch", "rcx", 8, 8],
  ["rdx", "rdx", 64], ["dx", "rdx", 64], ["edx", "rdx", 32], ["dl", "rdx", 8], ["dh", "rdx", 8, 8],
  ["rsi", "rsi", 64], ["si", "rsi", 64], ["esi", "rsi", 32], ["sil", "rsi", 8],
  ["rdi", "rdi", 64], ["di", "rdi", 64], ["edi", "rdi", 32], ["dil", "rdi", 8],
  ["rbp", "rbp", 64], ["bp", "rbp", 64], ["ebp", "rbp", 32], ["bpl", "rbp", 8],
  ["rsp", "rsp", 64], ["sp", "rsp", 64], ["esp", "rsp", 32], ["spl", "rsp", 8],
  ["r8", "r8", 64], ["r8d", "r8", 32], ["r8w", "r8", 16], ["r8b", "r8", 8],
  ["r9", "r9", 64], ["r9d", "r9", 32], ["r9w", "r9", 16], ["r9b", "r9", 8],
  ["r10", "r10", 64], ["r10d", "r10", 32], ["r10w", "r10", 16], ["r10b", "r10", 8],
  ["r11", "r11", 64], ["r11d", "r11", 32], ["r11w", "r11", 16], ["r11b", "r11", 8],
  ["r12", "r12", 64], ["r12d", "r12", 32], ["r12w", "r12", 16], ["r12b", "r12", 8],
  ["r13", "r13", 64], ["r13d", "r13", 32], ["r13w", "r13", 16], ["r13b", "r13", 8],
  ["r14", "r14", 64], ["r14d", "r14", 32], ["r14w", "r14", 16], ["r14b", "r14", 8],
  ["r15", "r15", 64], ["r15d", "r15", 32], ["r15w", "r15", 16], ["r15b", "r15", 8],
  ["rip", "rip", 64], ["ip", "rip", 64], ["eip", "rip", 32],
  ["orig_rax", "orig_rax", 64], ["orig_ax", "orig_rax", 64], ["orig_eax", "orig_rax", 32],
  ["flags", "eflags", 32], ["eflags", "eflags", 32], ["rflags", "eflags", 64],
  ["cs", "cs", 64], ["xcs", "cs", 64], ["ss", "ss", 64], ["xss", "ss", 64],
  ["ds", "ds", 64], ["xds", "ds", 64], ["es", "es", 64], ["xes", "es", 64],
  ["fs", "fs", 64], ["xfs", "fs", 64], ["gs", "gs", 64], ["xgs", "gs", 64],
  ["fs_base", "fs_base", 64], ["gs_base", "gs_base", 64],
];

const PARTS: ReadonlyMap<string, RegisterPart> = new Map(
  ROWS.map(([name, register, bits, shift]) => [name, { register, bits, shift: shift ?? 0 }]),
);

/** Every name that {@link registerPart} knows. */
export const SCRIPT_REGISTER_NAMES: readonly string[] = [...PARTS.keys()];

/** @returns undefined for a name that no register has */
export function registerPart(name: string): RegisterPart | undefined {
  return PARTS.get(name);
}

/** The part's bits as an unsigned number: `u_register()`. */
export function readUnsigned(registers: RegisterFile, part: RegisterPart): bigint {
  return BigInt.asUintN(part.bits, registers.read(part.register) >> BigInt(part.shift));
}

/** The part's bits as a signed number: `register()`. */
export function readSigned(registers: RegisterFile, part: RegisterPart): bigint {
  return BigInt.asIntN(part.bits, registers.read(part.register) >> BigInt(part.shift));
}
