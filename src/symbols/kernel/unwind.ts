import { type Address, addressOf, formatAddress } from "../../base/address.js";
import { assertNever } from "../../base/assert-never.js";
import { ORC_BASE, type OrcEntry } from "./orc-table.js";

/** Registers that some frames are found by, besides the stack pointer and the base pointer. */
export interface OddRegisters {
  readonly rdx: bigint;
  readonly rdi: bigint;
  readonly r10: bigint;
  readonly r13: bigint;
}

/** A place in the kernel's text and the stack that belongs to it. */
export interface KernelFrame {
  readonly pc: Address;
  readonly sp: Address;
  readonly bp: bigint;
  /** `pc` is the next instruction, as where a probe was hit or an interrupt came; else a return address. */
  readonly interrupted: boolean;
  /** Known of the first frame, and of one that an interrupt or exception saved. */
  readonly registers?: OddRegisters | undefined;
}

/** Why there is no further frame. */
export type UnwindEnd =
  /** The first function of a task or a processor: nobody called it. */
  | "first-function"
  /** The kernel was entered from a program here. */
  | "user-mode"
  /** Nothing is known of this place: not the kernel's text, or text that was made at run time. */
  | "unknown-place"
  /** The stack or a register that it is found by is damaged. */
  | "damaged-stack";

export type Unwound =
  | { readonly kind: "frame"; readonly frame: KernelFrame }
  | { readonly kind: "end"; readonly why: UnwindEnd; readonly detail: string };

/** What unwinding asks of the world. */
export interface UnwindSource {
  /** How a place is left: {@link OrcTable.at} of the kernel or the module that it belongs to. */
  entryAt(pc: Address): OrcEntry | undefined;
  /** The 8 bytes at an address; undefined where they cannot be read. */
  word(at: Address): bigint | undefined;
}

/** Offsets in `struct pt_regs`. Linux, arch/x86/include/uapi/asm/ptrace.h and entry/calling.h. */
const SAVED = { r13: 16, bp: 32, r10: 56, dx: 96, di: 112, ip: 128, cs: 136, sp: 152 } as const;
/** What the processor itself pushes: rip, cs, rflags, rsp, ss. */
const IRET = { ip: 0, cs: 8, sp: 24 } as const;
/** The privilege level in a code segment's selector. */
const PRIVILEGE = 3n;

/**
 * The frame that a frame was called or interrupted from. Each step goes up the stack or says why not, so
 * that a loop over it ends, but the caller sets a limit nevertheless: stacks can be linked to each other.
 */
export function unwindStep(frame: KernelFrame, source: UnwindSource): Unwound {
  // A call may be the last instruction of its function: the return address is the next one's.
  const place = (frame.interrupted ? frame.pc : frame.pc - 1) as Address;
  const entry = source.entryAt(place);
  if (entry === undefined) return end("unknown-place", `nothing is known of ${formatAddress(frame.pc)}`);
  switch (entry.kind) {
    case "end":
      return end("first-function", "nobody called it");
    case "undefined":
      return end("unknown-place", `the kernel does not know how ${formatAddress(frame.pc)} was called`);
    case "call":
    case "registers":
    case "iret-frame":
      return stepFrom(frame, entry, entry.kind, source);
    default:
      return assertNever(entry.kind);
  }
}

function stepFrom(
  frame: KernelFrame,
  entry: OrcEntry,
  kind: "call" | "registers" | "iret-frame",
  source: UnwindSource,
): Unwound {
  const top = stackTop(frame, entry, source);
  if (top === undefined) return end("damaged-stack", `the stack of ${formatAddress(frame.pc)} is not known`);
  const word = (offset: number): bigint | undefined => source.word((top + offset) as Address);
  const lost = (): Unwound => end("damaged-stack", `the stack cannot be read at ${formatAddress(top)}`);

  if (kind === "call") {
    const saved = word(-8);
    if (saved === undefined) return lost();
    const pc = addressOf(saved);
    if (pc === undefined || pc >= 0)
      return end("damaged-stack", `0x${saved.toString(16)} is no return address`);
    // What is found through memory may be another stack, as an interrupt's; the same one goes upwards.
    const direct = entry.spBase === ORC_BASE.rsp || entry.spBase === ORC_BASE.rbp;
    if (direct && top <= frame.sp) return end("damaged-stack", "the stack does not go on upwards");
    const bp = basePointer(frame, entry, top, source);
    return bp === undefined ? lost() : { kind: "frame", frame: { pc, sp: top, bp, interrupted: false } };
  }

  const fields = kind === "registers" ? SAVED : IRET;
  const [ip, cs, sp] = [word(fields.ip), word(fields.cs), word(fields.sp)];
  if (ip === undefined || cs === undefined || sp === undefined) return lost();
  if ((cs & PRIVILEGE) !== 0n) return end("user-mode", "the kernel was entered from a program");
  const pc = addressOf(ip);
  const stack = addressOf(sp);
  if (pc === undefined || stack === undefined || pc >= 0 || stack >= 0)
    return end("damaged-stack", `no interrupted place lies at ${formatAddress(top)}`);
  if (kind === "iret-frame") {
    const bp = basePointer(frame, entry, top, source);
    return bp === undefined
      ? lost()
      : { kind: "frame", frame: { pc, sp: stack, bp, interrupted: true, registers: frame.registers } };
  }
  const [bp, rdx, rdi, r10, r13] = [SAVED.bp, SAVED.dx, SAVED.di, SAVED.r10, SAVED.r13].map(word);
  if (bp === undefined || rdx === undefined || rdi === undefined || r10 === undefined || r13 === undefined)
    return lost();
  const registers = { rdx, rdi, r10, r13 };
  return { kind: "frame", frame: { pc, sp: stack, bp, interrupted: true, registers } };
}

/** What the entry counts from: the stack pointer before the call, or where registers were saved. */
function stackTop(frame: KernelFrame, entry: OrcEntry, source: UnwindSource): Address | undefined {
  const { spOffset: offset } = entry;
  const of = (value: bigint | undefined, add: number): Address | undefined => {
    const address = value === undefined ? undefined : addressOf(value);
    return address === undefined ? undefined : ((address + add) as Address);
  };
  switch (entry.spBase) {
    case ORC_BASE.rsp:
      return (frame.sp + offset) as Address;
    case ORC_BASE.rbp:
      return of(frame.bp, offset);
    case ORC_BASE.behindRsp:
      return of(source.word(frame.sp), offset);
    case ORC_BASE.behindRbp: {
      const at = of(frame.bp, offset);
      return at && of(source.word(at), 0);
    }
    case ORC_BASE.rdx:
      return of(frame.registers?.rdx, 0);
    case ORC_BASE.rdi:
      return of(frame.registers?.rdi, 0);
    case ORC_BASE.r10:
      return of(frame.registers?.r10, 0);
    case ORC_BASE.r13:
      return of(frame.registers?.r13, 0);
    default:
      return undefined;
  }
}

function basePointer(
  frame: KernelFrame,
  entry: OrcEntry,
  top: Address,
  source: UnwindSource,
): bigint | undefined {
  switch (entry.bpBase) {
    case ORC_BASE.undefined:
      return frame.bp;
    case ORC_BASE.previousSp:
      return source.word((top + entry.bpOffset) as Address);
    case ORC_BASE.rbp: {
      const at = addressOf(frame.bp);
      return at === undefined ? undefined : source.word((at + entry.bpOffset) as Address);
    }
    default:
      return undefined;
  }
}

function end(why: UnwindEnd, detail: string): Unwound {
  return { kind: "end", why, detail };
}
