import type { Address, AddressRange } from "../../base/address.js";
import { instructionStarts } from "./decode.js";

const SYSCALL = Uint8Array.of(0x0f, 0x05);
/** How far before its `syscall` a call's number is put in a register. */
const WINDOW = 256;
/** The longest body that is decoded for the sake of one instruction. */
const LONGEST_BODY = 64 * 1024;

/**
 * The `syscall` instructions that make certain system calls, found by their numbers: the
 * constant that is moved to eax before the instruction. Where the number comes out of another
 * register, into which one of the numbers was moved before, the instruction is among them too.
 * A number that is computed is not found.
 *
 * @param text   bytes of code
 * @param at     address of the first
 * @param bodyOf the function that holds an address: what is decoded to tell instructions from operands
 * @returns addresses, ascending
 */
export function systemCallSites(
  text: Uint8Array,
  at: Address,
  numbers: ReadonlySet<number>,
  bodyOf: (address: Address) => AddressRange | undefined,
): Address[] {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.length);
  const starts = new Map<Address, ReadonlySet<number>>();
  const sites: Address[] = [];
  for (let found = bytes.indexOf(SYSCALL); found >= 0; found = bytes.indexOf(SYSCALL, found + 1)) {
    if (!mentionsNumber(bytes, Math.max(0, found - WINDOW), found, numbers)) continue;
    const address = (at + found) as Address;
    if (numberRightBefore(bytes, found, numbers)) {
      sites.push(address);
      continue;
    }
    const body = bodyOf(address);
    if (body === undefined || body.start < at || body.end - body.start > LONGEST_BODY) continue;
    const begin = body.start - at;
    let boundaries = starts.get(body.start);
    if (boundaries === undefined) {
      const end = Math.min(bytes.length, body.end - at);
      boundaries = new Set(
        instructionStarts(bytes.subarray(begin, end), body.start).starts.map((start) => start - at),
      );
      starts.set(body.start, boundaries);
    }
    if (boundaries.has(found) && mayHoldNumber(bytes, begin, found, boundaries, numbers)) sites.push(address);
  }
  return sites;
}

/** Whether, somewhere in a stretch, one of the numbers is an immediate operand of a move to a register. */
function mentionsNumber(bytes: Buffer, from: number, to: number, numbers: ReadonlySet<number>): boolean {
  for (let at = from; at + 5 <= to; at++) {
    const opcode = bytes[at] as number; // in range
    const field = (opcode & 0xf8) === 0xb8 ? at + 1 : opcode === 0xc7 ? at + 2 : -1;
    if (field >= 0 && field + 4 <= to && numbers.has(bytes.readUInt32LE(field))) return true;
  }
  return false;
}

/** The plainest form, which needs no function around it to be believed: `mov eax, N; syscall`. */
function numberRightBefore(bytes: Buffer, at: number, numbers: ReadonlySet<number>): boolean {
  if (at >= 7 && bytes.readUIntBE(at - 7, 3) === 0x48c7c0) return numbers.has(bytes.readUInt32LE(at - 4));
  return at >= 5 && bytes[at - 5] === 0xb8 && numbers.has(bytes.readUInt32LE(at - 4));
}

/** Goes back, instruction by instruction, to what put the number in eax. */
function mayHoldNumber(
  bytes: Buffer,
  begin: number,
  at: number,
  boundaries: ReadonlySet<number>,
  numbers: ReadonlySet<number>,
): boolean {
  for (let before = at - 1; before >= begin; before--) {
    if (!boundaries.has(before)) continue;
    const opcode = bytes[before] as number; // in range
    const next = bytes[before + 1] as number; // a `syscall` stands behind it
    if (opcode === 0xb8) return numbers.has(bytes.readUInt32LE(before + 1)); // mov eax, imm32
    if (opcode === 0x48 && next === 0xc7 && bytes[before + 2] === 0xc0)
      return numbers.has(bytes.readUInt32LE(before + 3)); // mov rax, imm32
    if (opcode === 0x31 && next === 0xc0) return numbers.has(0); // xor eax, eax
    const move = (opcode & 0xf0) === 0x40 ? before + 1 : before; // behind a REX prefix
    const modrm = bytes[move + 1] as number;
    if (bytes[move] === 0x89 && (modrm & 0xc7) === 0xc0) return true; // mov eax, reg
    if (bytes[move] === 0x8b && (modrm & 0x38) === 0) return true; // mov eax, reg or memory
  }
  return true; // an argument of the function
}
