import { Code, type Decoder, DecoderError, type Instruction, Mnemonic, OpKind, Register } from "./iced.js";
import { type Address, addressOf, offsetBy } from "../../base/address.js";
import type { RefusalReason } from "../../base/refusals.js";
import { MAX_INSTRUCTION_LENGTH, type Prefixes, scanPrefixes, withInstruction } from "./decode.js";
import {
  type CountedJump,
  type Emulate,
  type Emulated,
  type TargetOperand,
  emulateCall,
  emulateConditionalJump,
  emulateCountedJump,
  emulateIndirectCall,
  emulateIndirectJump,
  emulateJump,
  emulateReturn,
} from "./emulate.js";
import { emulateStraight } from "./emulate-straight.js";
import { type InstructionFacts, instructionFacts } from "./instruction-facts.js";
import type { InstructionForm, Original, RelativeOperand } from "./instruction-form.js";
import { buildSlot } from "./slot-forms.js";
import type { OutOfReach, SlotCode } from "./slot.js";
import type { RegisterName } from "./registers.js";

/** What a slot is wanted for. */
export interface SlotOptions {
  /** End the slot with a stop behind the instruction; else with a jump back to the program. */
  readonly stopAfter: boolean;
  /** The target puts the stops in itself: see SlotEnd. Default: they are written with the slot. */
  readonly insertsStops?: boolean;
  /** Why emulation was not possible for this thread at this moment; chooses among two forms of a call. */
  readonly because?: Exclude<Emulated, "done">;
}

export type BuildSlot = (slot: Address, options: SlotOptions) => SlotCode | OutOfReach;

/**
 * How a displaced instruction is run. Both ways have a slot: for `emulate` it is what the
 * processor runs where emulation says that it cannot, with the same exceptions from the same
 * accesses, and where it does not fault after all the instruction is done properly.
 */
export type Displacement =
  | {
      readonly kind: "emulate";
      readonly facts: InstructionFacts;
      readonly form: InstructionForm;
      readonly emulate: Emulate;
      readonly buildSlot: BuildSlot;
      /** Emulation writes target memory, which costs more than a slot that is there anyway. */
      readonly slotIsCheaper: boolean;
    }
  | {
      readonly kind: "copy";
      readonly facts: InstructionFacts;
      readonly form: InstructionForm;
      readonly buildSlot: BuildSlot;
      /** How to stop behind it. */
      readonly after: StopBehind;
      /** Present where it could be emulated, too: for targets to which slots are dear or unknown. */
      readonly emulate?: Emulate | undefined;
    }
  | Refusal;

/** How a copied instruction is stopped behind. */
export type StopBehind =
  /** {@link SlotOptions.stopAfter}. */
  | { readonly by: "stop" }
  /** It never reaches what follows it in the slot: emulate it instead. */
  | { readonly by: "emulation"; readonly emulate: Emulate }
  /** It goes away for good, to where only the processor knows: no post phase. */
  | { readonly by: "nothing"; readonly reason: keyof typeof POST_REFUSALS };

export interface Refusal {
  readonly kind: "refused";
  readonly reason: keyof typeof REFUSALS;
  /** A half-sentence for the user. */
  readonly detail: string;
}

/** Why an instruction cannot be displaced. */
export const REFUSALS = {
  /** Not an instruction: data, or an extension newer than the decoder. */
  "does-not-decode": "the bytes there are no instruction that is known",
  /** The instruction goes on past the bytes that could be read. */
  truncated: "the instruction is cut off by the end of readable text",
  /** It stores the code segment and the program counter: a copy would store the slot's. */
  "far-call": "a far call would push the address of its copy",
  /** Intel ignores 66h on a near branch, AMD takes a 16-bit target: even its length is not known. */
  "vendor-dependent-branch": "a near branch with a 66h prefix means different things on different processors",
  /** The enclave is told the address behind the instruction (in rcx), and comes back there whenever it likes. */
  enclu: "enclu hands the address of its copy to an enclave, which may come back there at any time",
  /** A branch beyond the canonical addresses; it raises #GP and nothing sane has one. */
  "branch-out-of-address-space": "the branch leads out of the address space",
} as const satisfies Partial<Record<RefusalReason, string>>;

/** Why an instruction cannot have a post phase. */
export const POST_REFUSALS = {
  "returns-elsewhere": "the instruction returns to a place that only the processor can tell",
} as const satisfies Partial<Record<RefusalReason, string>>;

/**
 * The one place that decides whether an instruction may be displaced, and how.
 *
 * @param bytes the original text at the location (no breakpoints of ours in it), as many bytes as
 *              can be read up to 15; more are ignored
 * @param at    address of the location
 */
export function planDisplacement(bytes: Uint8Array, at: Address): Displacement {
  const text = bytes.length > MAX_INSTRUCTION_LENGTH ? bytes.subarray(0, MAX_INSTRUCTION_LENGTH) : bytes;
  return withInstruction(text, at, (instruction, decoder) => {
    if (instruction.isInvalid)
      return refuse(isTruncated(decoder, text, at) ? "truncated" : "does-not-decode");
    return plan(instruction, decoder, copyOf(text, instruction.length), at);
  });
}

/** Of the first bytes; `slice` of Node's buffers is a view. */
function copyOf(bytes: Uint8Array, length: number): Uint8Array {
  return new Uint8Array(bytes.subarray(0, length));
}

/** Whether more bytes would have made an instruction of it. */
function isTruncated(decoder: Decoder, text: Uint8Array, at: Address): boolean {
  if (decoder.lastError !== DecoderError.NoMoreBytes || text.length >= MAX_INSTRUCTION_LENGTH) return false;
  // The decoder wants all bytes of an instruction before it finds it invalid.
  const padded = new Uint8Array(MAX_INSTRUCTION_LENGTH);
  padded.set(text);
  return withInstruction(padded, at, (instruction) => !instruction.isInvalid);
}

function refuse(reason: keyof typeof REFUSALS): Refusal {
  return { kind: "refused", reason, detail: REFUSALS[reason] };
}

function plan(instruction: Instruction, decoder: Decoder, bytes: Uint8Array, at: Address): Displacement {
  const facts = instructionFacts(instruction);
  const original = describe(instruction, decoder, bytes, at);
  switch (facts.flow) {
    case "next":
      return planStraight(instruction, facts, original);
    case "system-call":
    case "exception":
      return facts.mnemonic === "syscall"
        ? copy(facts, { kind: "system-call", original }, STOP)
        : copy(facts, { kind: "copy", original }, STOP);
    case "jump":
    case "conditional-jump":
    case "call":
    case "return":
      return planBranch(instruction, facts, original);
  }
}

const STOP: StopBehind = { by: "stop" };

function copy(
  facts: InstructionFacts,
  form: InstructionForm,
  after: StopBehind,
  emulate?: Emulate,
): Displacement {
  return { kind: "copy", facts, form, after, emulate, buildSlot: slotBuilder(form) };
}

function emulated(
  facts: InstructionFacts,
  form: InstructionForm,
  emulate: Emulate,
  slotIsCheaper = false,
): Displacement {
  return { kind: "emulate", facts, form, emulate, slotIsCheaper, buildSlot: slotBuilder(form) };
}

function slotBuilder(form: InstructionForm): BuildSlot {
  return (slot, { stopAfter, insertsStops = false, because }) =>
    buildSlot(form, slot, stopAfter, insertsStops ? "inserted-stop" : "int3", because);
}

function planStraight(instruction: Instruction, facts: InstructionFacts, original: Original): Displacement {
  switch (instruction.mnemonic) {
    case Mnemonic.Nop:
    case Mnemonic.Endbr64:
    case Mnemonic.Endbr32:
      return emulated(facts, { kind: "copy", original }, emulateJump(original.next));
    case Mnemonic.Xbegin: {
      const fallback = addressOf(instruction.nearBranchTarget);
      if (fallback === undefined) return refuse("branch-out-of-address-space");
      return copy(facts, { kind: "transaction", original, fallback }, STOP);
    }
    case Mnemonic.Enclu:
      return refuse("enclu");
    default:
      return copy(facts, { kind: "copy", original }, STOP, emulateStraight(instruction, original.next));
  }
}

function planBranch(instruction: Instruction, facts: InstructionFacts, original: Original): Displacement {
  const prefixes = scanPrefixes(original.bytes);
  if (isFar(instruction)) {
    if (facts.flow === "call") return refuse("far-call");
    return copy(facts, { kind: "copy", original }, { by: "nothing", reason: "returns-elsewhere" });
  }
  if (prefixes.operandSize && !prefixes.rexW) return refuse("vendor-dependent-branch");
  if (facts.flow === "return") {
    const released = instruction.opCount === 0 ? 0 : instruction.immediate16;
    return copy(facts, { kind: "copy", original }, { by: "emulation", emulate: emulateReturn(released) });
  }
  if (instruction.isCallNearIndirect || instruction.isJmpNearIndirect)
    return planIndirect(instruction, facts, original, prefixes);
  const target = addressOf(instruction.nearBranchTarget);
  if (target === undefined) return refuse("branch-out-of-address-space");
  return planRelative(instruction, facts, original, target, prefixes);
}

/** retf, iret, sysret, far call and jmp, …: whatever is not one of the near branches. */
function isFar(instruction: Instruction): boolean {
  return !(
    isNearReturn(instruction.code) ||
    instruction.isCallNear ||
    instruction.isCallNearIndirect ||
    instruction.isJmpShortOrNear ||
    instruction.isJmpNearIndirect ||
    instruction.isJccShortOrNear ||
    instruction.isLoop ||
    instruction.isLoopcc ||
    instruction.isJcxShort
  );
}

function isNearReturn(code: Code): boolean {
  switch (code) {
    case Code.Retnq:
    case Code.Retnq_imm16:
    case Code.Retnw:
    case Code.Retnw_imm16:
      return true;
    default:
      return false;
  }
}

function planRelative(
  instruction: Instruction,
  facts: InstructionFacts,
  original: Original,
  target: Address,
  prefixes: Prefixes,
): Displacement {
  const { next } = original;
  // The slot of a call is there anyway, and emulating it writes to the stack.
  if (facts.flow === "call")
    return emulated(facts, { kind: "call", original, target }, emulateCall(target, next), true);
  if (facts.flow === "jump") return emulated(facts, { kind: "jump", original, target }, emulateJump(target));
  const counted = COUNTED.get(instruction.mnemonic);
  const opcode = original.bytes[prefixes.opcodeAt] as number;
  if (counted !== undefined) {
    const short = prefixes.addressSize ? [0x67, opcode] : [opcode];
    const emulate = emulateCountedJump(counted, prefixes.addressSize, target, next);
    return emulated(facts, { kind: "counted-jump", original, short, target }, emulate);
  }
  // 7x rel8, or 0f 8x rel32.
  const condition = (opcode === 0x0f ? (original.bytes[prefixes.opcodeAt + 1] as number) : opcode) & 0xf;
  const emulate = emulateConditionalJump(condition, target, next);
  return emulated(facts, { kind: "conditional-jump", original, condition, target }, emulate);
}

const COUNTED: ReadonlyMap<Mnemonic, CountedJump> = new Map<Mnemonic, CountedJump>([
  [Mnemonic.Loopne, "loopne"],
  [Mnemonic.Loope, "loope"],
  [Mnemonic.Loop, "loop"],
  [Mnemonic.Jrcxz, "jrcxz"],
  [Mnemonic.Jecxz, "jrcxz"],
]);

function planIndirect(
  instruction: Instruction,
  facts: InstructionFacts,
  original: Original,
  prefixes: Prefixes,
): Displacement {
  const operand = targetOperand(instruction, prefixes.addressSize);
  if (facts.flow === "jump") {
    const emulate = emulateIndirectJump(operand);
    return copy(facts, { kind: "copy", original }, { by: "emulation", emulate });
  }
  const { opcodeAt } = prefixes;
  const register = operand.kind === "register" ? operand.register : undefined;
  // Its slot always ends with a stop, so that it is never cheaper.
  const form: InstructionForm = { kind: "indirect-call", original, opcodeAt, register };
  return emulated(facts, form, emulateIndirectCall(operand, original.next));
}

function targetOperand(instruction: Instruction, narrow: boolean): TargetOperand {
  if (instruction.op0Kind === OpKind.Register)
    return { kind: "register", register: generalRegister(instruction.op0Register) };
  const { memoryBase, memoryIndex } = instruction;
  const relative = instruction.isIpRelMemoryOperand;
  return {
    kind: "memory",
    base: relative || memoryBase === Register.None ? undefined : generalRegister(memoryBase),
    index: memoryIndex === Register.None ? undefined : generalRegister(memoryIndex),
    scale: instruction.memoryIndexScale,
    displacement: relative
      ? instruction.ipRelMemoryAddress
      : BigInt.asIntN(64, instruction.memoryDisplacementU64),
    segment: SEGMENT_BASES.get(instruction.memorySegment),
    cut: narrow,
  };
}

const SEGMENT_BASES: ReadonlyMap<Register, "fs_base" | "gs_base"> = new Map([
  [Register.FS, "fs_base"],
  [Register.GS, "gs_base"],
]);

/** In the order of the processor's register numbers. */
// prettier-ignore
const GENERAL: readonly RegisterName[] = [
  "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
];

/** The 64-bit register of a 64-bit one or of the lower half of one. */
function generalRegister(register: Register): RegisterName {
  const number = register >= Register.RAX ? register - Register.RAX : register - Register.EAX;
  const name = GENERAL[number];
  if (name === undefined)
    throw new Error(`register ${String(register)} cannot address memory or hold a branch target`);
  return name;
}

function describe(instruction: Instruction, decoder: Decoder, bytes: Uint8Array, at: Address): Original {
  return {
    bytes,
    at,
    next: offsetBy(at, bytes.length),
    relative: instruction.isIpRelMemoryOperand ? relativeOperand(instruction, decoder) : undefined,
  };
}

function relativeOperand(instruction: Instruction, decoder: Decoder): RelativeOperand {
  const offsets = decoder.getConstantOffsets(instruction);
  try {
    return {
      fieldAt: offsets.displacementOffset,
      target: BigInt.asIntN(64, instruction.ipRelMemoryAddress),
      cut: instruction.memoryBase === Register.EIP,
    };
  } finally {
    offsets.free();
  }
}
