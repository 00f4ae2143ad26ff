import { type Address, type AddressRange, offsetBy } from "../../../base/address.js";
import { type Displacement, planDisplacement, type REFUSALS } from "../displaced.js";
import type { InstructionForm } from "../instruction-form.js";
import type { OutOfReach } from "../slot.js";
import { BlockBuilder, handlerRoom } from "./block-builder.js";
import { emitNatively } from "./native-forms.js";
import type { OffsetRange, Trampoline } from "./points.js";

/** The instructions that a jump stands in place of, and the one among them that is probed. */
export interface DisplacedBlock {
  /** One behind the other, with the program's own bytes. */
  readonly instructions: readonly { readonly at: Address; readonly bytes: Uint8Array }[];
  /** Index of the probed one. */
  readonly probed: number;
  /** The program's returns are checked against a stack of their own (CET), which only a true call writes. */
  readonly hasShadowStack: boolean;
}

/** Why a block cannot run elsewhere without ever stopping, beside what no instruction can: {@link REFUSALS}. */
export const BLOCK_REFUSALS = {
  /** It comes back into the jump, and not by a way that leads on from it. */
  "call-inside": "a call among the displaced instructions would come back between them",
  "branch-inside": "a displaced instruction branches to another",
  /** The processor would trap behind an instruction of ours. */
  "sets-trap-flag": "popf may begin single steps, and a trampoline must not be in them",
  "shadow-stack": "a call could only be imitated, and the shadow stack would tell",
} as const;

export interface BlockRefusal {
  readonly kind: "refused";
  readonly reason: keyof typeof BLOCK_REFUSALS | keyof typeof REFUSALS;
  /** The instruction that it is about. */
  readonly at: Address;
}

type Planned = Exclude<Displacement, { kind: "refused" }>;

/**
 * The one place that decides whether displaced instructions can run as a block, natively: each does what it
 * does in the program, faults as it does, and shows nobody that it was displaced, but for the address that the
 * x87 unit remembers (see `leavesItsAddress`) and words below the stack pointer where an indirect call faults.
 */
export function planTrampoline(block: DisplacedBlock): TrampolinePlan | BlockRefusal {
  const { instructions, probed } = block;
  const first = instructions[0];
  if (first === undefined || instructions[probed] === undefined) throw new Error("no instruction is probed");
  const last = instructions.length - 1;
  let end = first.at;
  for (const { at, bytes } of instructions) {
    if (at !== end) throw new Error("displaced instructions stand one behind the other");
    end = offsetBy(at, bytes.length);
  }
  const planned: Planned[] = [];
  for (const [index, { at, bytes }] of instructions.entries()) {
    const plan = planDisplacement(bytes, at);
    const reason = plan.kind === "refused" ? plan.reason : refusal(plan, block, index === last, end);
    if (reason !== undefined) return { kind: "refused", reason, at };
    if (plan.kind === "refused") continue; // has returned
    if (plan.facts.length !== bytes.length) throw new Error("an instruction with bytes of another");
    planned.push(plan);
  }
  return new TrampolinePlan(planned, probed, end);
}

function refusal(
  { facts, form }: Planned,
  { instructions, hasShadowStack }: DisplacedBlock,
  isLast: boolean,
  end: Address,
): keyof typeof BLOCK_REFUSALS | undefined {
  if (facts.flow === "call") {
    if (!isLast) return "call-inside";
    if (hasShadowStack) return "shadow-stack";
  }
  const start = instructions[0]?.at as Address; // a block is not empty
  const target = branchTarget(form);
  // To its first byte, the jump, anybody may come.
  if (target !== undefined && target > start && target < end) return "branch-inside";
  // What iret and its like set is for the program that they lead to.
  return facts.maySetTrapFlag && !facts.endsFlow ? "sets-trap-flag" : undefined;
}

function branchTarget(form: InstructionForm): Address | undefined {
  if (form.kind === "transaction") return form.fallback;
  return "target" in form ? form.target : undefined;
}

const REACH = 2 ** 31;

/** A block that can be a trampoline, anywhere near its text. */
export class TrampolinePlan {
  readonly kind = "trampoline-plan";

  constructor(
    private readonly planned: readonly Planned[],
    private readonly probed: number,
    /** The address behind the last instruction. */
    private readonly end: Address,
  ) {}

  /** Bytes that no trampoline of this block exceeds, with so long a handler. */
  room(handlerLength: number): number {
    const build = new BlockBuilder(this.end, true);
    this.emit(build, handlerLength);
    return build.measure();
  }

  /**
   * Where a trampoline of so many bytes can begin, to have in reach what the block's operands refer to, and the
   * program behind the block; undefined: nowhere.
   */
  starts(room: number): AddressRange | undefined {
    let low: number = this.end;
    let high: number = this.end;
    for (const { form } of this.planned) {
      const { relative } = form.original;
      if (relative === undefined || relative.cut) continue;
      low = Math.min(low, Number(relative.target));
      high = Math.max(high, Number(relative.target));
    }
    const start = high - REACH + 1;
    const end = low + REACH - room;
    return start < end ? { start: start as Address, end: end as Address } : undefined;
  }

  build(start: Address, handlerLength: number): Trampoline | OutOfReach {
    const build = new BlockBuilder(start);
    const emitted = this.emit(build, handlerLength);
    if (emitted.kind === "out-of-reach") return emitted;
    const bytes = build.finish();
    return { kind: "trampoline", bytes, points: build.points, ...emitted.parts };
  }

  private emit(
    build: BlockBuilder,
    handlerLength: number,
  ): { kind: "emitted"; parts: { handler: OffsetRange; entries: readonly number[] } } | OutOfReach {
    const entries: number[] = [];
    let handler: OffsetRange = { start: 0, end: 0 };
    for (const [index, { form, facts }] of this.planned.entries()) {
      entries.push(build.code.length);
      if (index === this.probed) handler = handlerRoom(build, form.original.at, handlerLength);
      const failure = emitNatively(build, form);
      if (failure !== undefined) return failure;
      if (form.kind === "copy" && (facts.flow === "exception" || facts.isSystemCall))
        build.behindTrap(form.original.at);
    }
    if (!this.leaves()) {
      build.after(this.end);
      build.jump(this.end);
    }
    return { kind: "emitted", parts: { handler, entries } };
  }

  /** Whether nothing ever goes on behind the last instruction. */
  private leaves(): boolean {
    const { facts } = this.planned.at(-1) as Planned; // a block is not empty
    return facts.endsFlow || facts.flow === "call";
  }
}
