import type { Address } from "../../../base/address.js";
import type { CodeEntries, TextRange } from "./code-entries.js";
import { Decoder, DecoderOptions, Instruction, Mnemonic } from "../iced.js";
import { planDisplacement } from "../displaced.js";
import { instructionStarts, withInstruction } from "../decode.js";
import { type InstructionFacts, instructionFacts } from "../instruction-facts.js";

/** `jmp rel32`. */
export const NEAR_JUMP = 5;
/** `jmp rel8`. */
export const SHORT_JUMP = 2;

/** No jump is farther before the probed instruction: what it displaces is copied. */
const FARTHEST = 32;

/** An instruction that gives its place to a jump. */
export interface DisplacedInstruction {
  readonly at: number;
  readonly length: number;
}

/** Where a jump can stand, so that a probe needs no trap. */
export interface JumpSite {
  readonly kind: "jump";
  /** Its first byte: that of the probed instruction, or of one before it that always leads there. */
  readonly start: number;
  /** {@link NEAR_JUMP}; {@link SHORT_JUMP} where an island near by leads on. */
  readonly length: number;
  /** What the jump stands in place of, in order; the probed instruction is one of them. */
  readonly displaced: readonly DisplacedInstruction[];
  /**
   * Bytes of the jump, beside its first, where an instruction began. No branch leads there, but an address may
   * have been kept from before: the byte must trap, and whoever traps is led to where the instruction is now.
   */
  readonly inner: readonly number[];
  /** Of a short jump: where its island, a near jump in room that nothing uses, can stand. */
  readonly island: number | undefined;
}

/** Why a place cannot take a jump, so that its probe traps. In the words of `-v`. */
export const JUMP_REFUSALS = {
  "entered-inside": "a branch leads to an instruction that the jump would overwrite",
  "return-inside": "a call would come back into the jump",
  "unknown-jumps": "the function has jumps whose targets are computed",
  "no-frame": "the unwinder does not know the function's extent",
  "too-short": "there is no room for a jump before something else begins",
  "not-displaceable": "an instruction that the jump would overwrite cannot run elsewhere",
  "not-an-instruction": "the place is not the start of an instruction that is known",
} as const;

export type JumpRefusal = keyof typeof JUMP_REFUSALS;

export type JumpPlan = JumpSite | { readonly kind: "refused"; readonly reason: JumpRefusal };

/** The function that a probe is in. */
export interface FunctionText {
  /** As the unwinder knows it. */
  readonly range: TextRange;
  /** From its first byte up to the next function's, its padding included. */
  readonly bytes: Uint8Array;
}

/**
 * The one place that decides whether a probe's location may become a jump. kprobes' optimised probes ask the
 * same (Linux `arch/x86/kernel/kprobes/opt.c`, `can_optimize`): nobody may come to an instruction that the jump
 * overwrites but through its first byte.
 */
export class JumpPlanner {
  private readonly starts: readonly number[];

  constructor(
    private readonly text: FunctionText,
    private readonly entries: CodeEntries,
    /** Room of 5 bytes near a short jump that nothing uses, for an island such that its `inner` traps; taken when it is given. */
    private readonly islandNear: (from: number, inner: readonly number[]) => number | undefined,
  ) {
    const { range, bytes } = text;
    const { starts } = instructionStarts(bytes, range.start as Address);
    this.starts = starts.filter((at) => at < range.end);
  }

  plan(at: number): JumpPlan {
    const index = this.starts.indexOf(at);
    if (index < 0) return refuse("not-an-instruction");
    if (this.entries.isOpen(at)) return refuse("unknown-jumps");
    let refused: JumpPlan | undefined;
    for (const length of [NEAR_JUMP, SHORT_JUMP]) {
      // What always leads to it may give its place instead.
      for (let first = index; first >= 0 && this.leadsOn(first, index); first--) {
        const plan = this.planFrom(first, index, length);
        if (plan.kind === "jump") return plan;
        refused ??= plan;
      }
    }
    return refused ?? refuse("not-an-instruction");
  }

  /** Whether whoever comes to one instruction always goes on to another, and nobody else comes there. */
  private leadsOn(from: number, to: number): boolean {
    if (from === to) return true;
    const start = this.starts[from] as number;
    const next = this.starts[from + 1] as number; // not the last one
    if ((this.starts[to] as number) - start > FARTHEST) return false;
    return !this.entries.has(next) && this.factsOf(from)?.flow === "next";
  }

  /** A jump in place of the instructions from the `first` on, the `last` of which is the probed one. */
  private planFrom(first: number, last: number, length: number): JumpPlan {
    const { range, bytes } = this.text;
    const start = this.starts[first] as number;
    const displaced: DisplacedInstruction[] = [];
    const inner: number[] = [];
    let end = start;
    for (let index = first; index <= last || end < start + length; index++) {
      const instruction = this.starts[index];
      const facts = instruction === undefined ? undefined : this.factsOf(index);
      if (instruction === undefined || facts === undefined) return refuse("too-short");
      if (index > first) {
        if (this.entries.has(instruction)) return refuse("entered-inside");
        if (instruction < start + length) inner.push(instruction - start);
      }
      displaced.push({ at: instruction, length: facts.length });
      end = instruction + facts.length;
      if (facts.flow === "call" && end < start + length) return refuse("return-inside");
      if (facts.endsFlow && end < start + length) {
        if (!this.isPadding(end, start + length)) return refuse("too-short");
        break;
      }
      if (end >= range.end && end < start + length) return refuse("too-short");
    }
    for (const each of displaced) {
      const offset = each.at - range.start;
      const plan = planDisplacement(bytes.subarray(offset, offset + each.length), each.at as Address);
      if (plan.kind === "refused") return refuse("not-displaceable");
    }
    if (length === NEAR_JUMP) return { kind: "jump", start, length, displaced, inner, island: undefined };
    const island = this.islandNear(start, inner);
    return island === undefined
      ? refuse("too-short")
      : { kind: "jump", start, length, displaced, inner, island };
  }

  /** Room that nothing uses: nobody comes to it, and compilers have filled it. */
  private isPadding(from: number, to: number): boolean {
    const { range, bytes } = this.text;
    for (let at = from; at < to; at++) if (this.entries.has(at)) return false;
    return isFiller(bytes, from - range.start, to - range.start);
  }

  private factsOf(index: number): InstructionFacts | undefined {
    const { range, bytes } = this.text;
    const at = this.starts[index] as Address;
    return withInstruction(bytes.subarray(at - range.start), at, (instruction) =>
      instruction.isInvalid ? undefined : instructionFacts(instruction),
    );
  }
}

/** Whether the bytes from `from` on, up to at least `to`, are what assemblers and linkers fill gaps with. */
export function isFiller(bytes: Uint8Array, from: number, to: number): boolean {
  if (to > bytes.length) return false;
  const scratch = new Instruction();
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  try {
    for (let at = from; at < to;) {
      const byte = bytes[at];
      if (byte === 0 || byte === 0xcc) {
        at++;
        continue;
      }
      decoder.position = at;
      decoder.decodeOut(scratch);
      const isNop =
        scratch.mnemonic === Mnemonic.Nop || (scratch.mnemonic === Mnemonic.Xchg && byte === 0x66);
      if (scratch.isInvalid || !isNop) return false;
      at += scratch.length;
    }
    return true;
  } finally {
    decoder.free();
    scratch.free();
  }
}

function refuse(reason: JumpRefusal): JumpPlan {
  return { kind: "refused", reason };
}
