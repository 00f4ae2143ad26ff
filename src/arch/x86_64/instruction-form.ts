import { type Address, addressOf } from "../../base/address.js";
import { putInt32, reaches } from "./machine-code.js";
import type { RegisterName } from "./registers.js";
import type { OutOfReach } from "./slot.js";

/** An instruction where the program has it. */
export interface Original {
  readonly bytes: Uint8Array;
  readonly at: Address;
  /** The address behind it. */
  readonly next: Address;
  /** Its memory operand relative to the program counter. */
  readonly relative: RelativeOperand | undefined;
}

export interface RelativeOperand {
  /** Offset of the 32-bit displacement in the instruction. */
  readonly fieldAt: number;
  /** The address meant, signed. */
  readonly target: bigint;
  /** With a 67h prefix the address is cut to 32 bits: any distance is in reach. */
  readonly cut: boolean;
}

/** What has to be done about an instruction so that it means the same somewhere else. */
export type InstructionForm =
  /** Its relative operand, where it has one, is corrected. */
  | { readonly kind: "copy"; readonly original: Original }
  | { readonly kind: "system-call"; readonly original: Original }
  /** xbegin: an aborted transaction goes on at `fallback`. */
  | { readonly kind: "transaction"; readonly original: Original; readonly fallback: Address }
  | { readonly kind: "jump"; readonly original: Original; readonly target: Address }
  /** `condition`: the low four bits of the opcode. */
  | {
      readonly kind: "conditional-jump";
      readonly original: Original;
      readonly condition: number;
      readonly target: Address;
    }
  /** loop, jrcxz: `short` is the instruction without its displacement, and there is no longer form. */
  | {
      readonly kind: "counted-jump";
      readonly original: Original;
      readonly short: readonly number[];
      readonly target: Address;
    }
  | { readonly kind: "call"; readonly original: Original; readonly target: Address }
  /** `opcodeAt`: offset of the opcode FF; `register`: what holds the target, where memory does not. */
  | {
      readonly kind: "indirect-call";
      readonly original: Original;
      readonly opcodeAt: number;
      readonly register: RegisterName | undefined;
    };

/** The original bytes, such that at `place` they mean the same memory. Encoding and length stay as they are. */
export function relocated(original: Original, place: Address): Uint8Array | OutOfReach {
  const { relative } = original;
  const bytes = original.bytes.slice();
  if (relative === undefined) return bytes;
  const distance = relative.target - BigInt(place + bytes.length);
  if (!relative.cut && !reaches(Number(distance)))
    return { kind: "out-of-reach", near: addressOf(relative.target) ?? original.at };
  putInt32(bytes, relative.fieldAt, Number(BigInt.asIntN(32, distance)));
  return bytes;
}

/** Without its prefixes: by so much the kernel goes back to restart a call. */
export const SYSCALL_LENGTH = 2;

const OPERAND_MASK = 0x38;
const CALL_OPERAND = 0x10; // FF /2

/** Instructions that take their operand as an indirect call does. FF /4, FF /6. */
const SAME_OPERAND = { jump: 0x20, push: 0x30 } as const;

/** Makes of an indirect near call, its opcode FF at `opcodeAt`, another instruction with the same operand. */
export function turnCallInto(what: keyof typeof SAME_OPERAND, bytes: Uint8Array, opcodeAt: number): void {
  const modrmAt = opcodeAt + 1;
  const modrm = bytes[modrmAt] as number;
  if ((modrm & OPERAND_MASK) !== CALL_OPERAND) throw new Error("not an indirect near call");
  bytes[modrmAt] = (modrm & ~OPERAND_MASK) | SAME_OPERAND[what];
}
