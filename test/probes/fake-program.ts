import { type Address, offsetBy } from "../../src/base/address.js";

/** The program that every thread runs for ever, at {@link TEXT}. */
// prettier-ignore
export const PROGRAM = Uint8Array.of(
  0x90,                         // +0  nop            (emulated)
  0xff, 0xc0,                   // +1  inc eax        (copied)
  0x8b, 0x0b,                   // +3  mov ecx,[rbx]  (copied; faults while its page is away)
  0xe8, 0x0b, 0x00, 0x00, 0x00, // +5  call +21       (a slot, or emulated where there is a post phase)
  0x0f, 0x1f, 0x00,             // +10 nop dword      (emulated; where the call returns to)
  0xcd, 0x80,                   // +13 int 0x80       (copied; a system call)
  0xcd, 0x03,                   // +15 int 3          (copied; always traps)
  0xff, 0xc2,                   // +17 inc edx        (copied)
  0xeb, 0xeb,                   // +19 jmp +0         (emulated)
  0xff, 0xc6,                   // +21 inc esi        (copied; the function)
  0xc3,                         // +23 ret            (a slot, or emulated where there is a post phase)
  0xff, 0xc7,                   // +24 inc edi        (copied; the signal handler)
  0xcd, 0x80,                   // +26 int 0x80       (copied; returns from the handler)
);

export const TEXT = 0x40_0000 as Address;

/** Offsets of the instructions. */
export const AT = {
  nop: 0,
  inc: 1,
  load: 3,
  call: 5,
  site: 10,
  systemCall: 13,
  trap: 15,
  last: 17,
  jump: 19,
  function: 21,
  ret: 23,
  handler: 24,
  sigreturn: 26,
} as const;

/** Every instruction can be probed. */
export const INSTRUCTIONS: readonly number[] = Object.values(AT);

/** The second byte of the instruction at +1, where no probe can be beside one on that instruction. */
export const INSIDE = offsetBy(TEXT, AT.inc + 1);

/** What the engine may do itself instead of having it executed. */
const EMULATED: ReadonlySet<number> = new Set([AT.nop, AT.site, AT.jump, AT.call, AT.ret]);

export function mayBeEmulated(offset: number): boolean {
  return EMULATED.has(offset);
}

/** The instruction that comes after one that ran to its end. */
export function behind(offset: number): number {
  switch (offset) {
    case AT.call:
      return AT.function;
    case AT.ret:
      return AT.site;
    case AT.jump:
      return AT.nop;
    default: {
      const next = INSTRUCTIONS[INSTRUCTIONS.indexOf(offset) + 1];
      if (next === undefined) throw new Error(`nothing comes after +${String(offset)}`);
      return next;
    }
  }
}

/** A page that each thread loads from, and one that holds its stack. */
export function dataOf(thread: number): Address {
  return (0x60_0000 + thread * PAGE) as Address;
}

export function stackOf(thread: number): Address {
  return (0x70_0000 + thread * PAGE) as Address;
}

export const PAGE = 4096;
