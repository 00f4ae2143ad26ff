import { type Address, addressOf } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { RegisterFile, RegisterName } from "./registers.js";

/** Where a 64-bit value is. */
export type Location =
  | { readonly kind: "register"; readonly register: RegisterName }
  /** 8 bytes, little endian, `offset` bytes above the stack pointer. */
  | { readonly kind: "stack"; readonly offset: number };

/**
 * Registers of the first integer and pointer arguments of a function.
 * System V ABI, AMD64 supplement, 3.2.3.
 */
const ARGUMENT_REGISTERS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9"] as const satisfies RegisterName[];

/**
 * Registers of the arguments of a Linux system call; there is no seventh.
 * System V ABI, AMD64 supplement, A.2.1; rcx would be lost to `syscall` itself.
 */
const SYSTEM_CALL_ARGUMENT_REGISTERS = [
  "rdi",
  "rsi",
  "rdx",
  "r10",
  "r8",
  "r9",
] as const satisfies RegisterName[];

/** The register that holds a function's integer result, and a system call's. */
export const RETURN_VALUE_REGISTER = "rax" satisfies RegisterName;

const WORD = 8;

/**
 * Where an integer or pointer argument is when a function's first instruction has not run yet.
 * Arguments of other classes (floating point, structures in memory) do not count.
 *
 * @param number 1 for the first
 * @throws RangeError for less than 1
 */
export function argumentLocation(number: number): Location {
  if (!Number.isInteger(number) || number < 1)
    throw new RangeError(`there is no argument ${String(number)}: the first one is 1`);
  const register = ARGUMENT_REGISTERS[number - 1];
  if (register !== undefined) return { kind: "register", register };
  // The return address is on top, the first argument in memory above it.
  return { kind: "stack", offset: WORD * (number - ARGUMENT_REGISTERS.length) };
}

/** @returns undefined where no such argument exists: there are six */
export function systemCallArgument(number: number): RegisterName | undefined {
  return SYSTEM_CALL_ARGUMENT_REGISTERS[number - 1];
}

/** Where the return address is when a function's first instruction has not run yet. */
export const RETURN_ADDRESS: Location = { kind: "stack", offset: 0 };

/** What a read of a {@link Location} needs of the target's memory. */
export interface ReadableMemory {
  /** @throws MemoryFault where the target's own load would signal */
  read(at: Address, into: Uint8Array): void;
}

/** @throws MemoryFault the stack cannot be read there */
export function readLocation(location: Location, registers: RegisterFile, memory: ReadableMemory): bigint {
  switch (location.kind) {
    case "register":
      return registers.read(location.register);
    case "stack": {
      const word = new Uint8Array(WORD);
      const wanted = BigInt.asUintN(64, registers.read("rsp") + BigInt(location.offset));
      const at = addressOf(wanted);
      if (at === undefined) throw new MemoryFault(wanted, "read", "not-canonical");
      memory.read(at, word);
      return new DataView(word.buffer).getBigUint64(0, true);
    }
  }
}
