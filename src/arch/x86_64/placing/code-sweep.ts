import {
  Decoder,
  DecoderOptions,
  FlowControl,
  Instruction,
  Mnemonic,
  OpKind,
  Register,
  RegisterExt,
} from "../iced.js";

/** Where a jump leads whose target is in a register or in memory. */
export type FollowedJump =
  /** To an address that was read as it is: one that pointers in data, or instructions, mention. */
  | { readonly kind: "pointer" }
  /** To what a table says, of distances from an origin, its own start as a rule; these are possible. */
  | { readonly kind: "table"; readonly tables: readonly DistanceTable[] }
  /** It was computed. */
  | { readonly kind: "unknown" };

/** A table of signed distances of 4 bytes. */
export interface DistanceTable {
  readonly at: number;
  readonly origin: number;
}

/** What a sweep over a stretch of text tells of it, in order. */
export interface SweepListener {
  /** A branch, or a call, leads to `to`. */
  branch(from: number, to: number, isCall: boolean): void;
  /** An instruction has an address in it: as what its operand is relative to, or as a number. */
  mentions(to: number): void;
  indirectJump(from: number, followed: FollowedJump): void;
  /** A return. */
  leaves(from: number): void;
  /** What does not decode. The rest of the stretch is left out. */
  nonsense(from: number): void;
}

/** Decodes a stretch of text from its first byte to its last. @param isFixed see SweptImage */
export function sweep(bytes: Uint8Array, at: number, isFixed: boolean, listener: SweepListener): void {
  const decoder = new Decoder(64, bytes, DecoderOptions.None);
  try {
    new Sweep(decoder, at, isFixed, listener).run();
  } finally {
    decoder.free();
  }
}

const scratch = new Instruction();

/** How many instructions before an indirect jump are looked at for where its target comes from. */
const WINDOW = 64;

class Sweep {
  /** Where the last instructions start, as offsets. */
  private readonly recent: number[] = [];
  /** Addresses that were put in registers. */
  private readonly bases: number[] = [];
  private loadsDistances = false;
  private readonly indirect: { readonly from: number; readonly before: readonly number[] }[] = [];

  constructor(
    private readonly decoder: Decoder,
    private readonly at: number,
    private readonly isFixed: boolean,
    private readonly listener: SweepListener,
  ) {}

  run(): void {
    const { decoder, at, recent } = this;
    decoder.ip = BigInt(at);
    while (decoder.canDecode) {
      const offset = decoder.position;
      decoder.decodeOut(scratch);
      if (scratch.isInvalid) {
        this.listener.nonsense(at + offset);
        break;
      }
      this.look(at + offset);
      recent.push(offset);
      if (recent.length > 4 * WINDOW) recent.splice(0, 3 * WINDOW);
    }
    // A register may be loaded further on, in a loop.
    for (const { from, before } of this.indirect)
      this.listener.indirectJump(from, this.followRegister(before));
  }

  private look(from: number): void {
    const instruction = scratch;
    switch (instruction.flowControl) {
      case FlowControl.Next:
        break;
      case FlowControl.UnconditionalBranch:
      case FlowControl.ConditionalBranch:
      case FlowControl.Call:
      case FlowControl.XbeginXabortXend:
        if (isNearBranch(instruction.op0Kind)) {
          const isCall = instruction.flowControl === FlowControl.Call;
          this.listener.branch(from, Number(BigInt.asIntN(64, instruction.nearBranchTarget)), isCall);
        }
        return;
      case FlowControl.IndirectBranch:
        if (instruction.op0Kind === OpKind.Register)
          this.indirect.push({ from, before: this.recent.slice(-WINDOW).concat(from - this.at) });
        else this.listener.indirectJump(from, { kind: "pointer" });
        return;
      case FlowControl.Return:
        this.listener.leaves(from);
        return;
      default:
        return;
    }
    if (instruction.mnemonic === Mnemonic.Movsxd && instruction.op1Kind === OpKind.Memory)
      this.loadsDistances ||= instruction.memoryIndex !== Register.None;
    if (instruction.isIpRelMemoryOperand) {
      const to = Number(BigInt.asIntN(64, instruction.ipRelMemoryAddress));
      if (instruction.mnemonic !== Mnemonic.Lea) return;
      this.listener.mentions(to);
      this.bases.push(to);
    } else if (this.isFixed) this.lookAtNumbers(instruction);
  }

  /** In a program that is linked for one address: `mov edi, offset f`. */
  private lookAtNumbers(instruction: Instruction): void {
    for (let index = 0, count = instruction.opCount; index < count; index++) {
      if (!IMMEDIATES.has(instruction.opKind(index))) continue;
      const to = Number(BigInt.asIntN(64, instruction.immediate(index)));
      this.listener.mentions(to);
      if (instruction.op0Kind === OpKind.Register) this.bases.push(to);
    }
  }

  /** @param before offsets of what stands before the jump, and of the jump */
  private followRegister(before: readonly number[]): FollowedJump {
    let wanted = this.decode(before.at(-1)).op0Register;
    for (let index = before.length - 2; index >= 0; index--) {
      const instruction = this.decode(before[index]);
      // What stands before such a one does not lead here.
      if (NEVER_GOES_ON.has(instruction.flowControl)) return this.trailLost();
      if (instruction.flowControl === FlowControl.Call || !writes(instruction, wanted)) continue;
      switch (instruction.mnemonic) {
        case Mnemonic.Mov:
          if (instruction.op1Kind !== OpKind.Register) return { kind: "pointer" };
          wanted = RegisterExt.fullRegister(instruction.op1Register);
          continue;
        case Mnemonic.Add:
          if (instruction.op1Kind !== OpKind.Register) return { kind: "unknown" };
          return this.followSum(before, index, wanted, RegisterExt.fullRegister(instruction.op1Register));
        case Mnemonic.Lea:
          // It was mentioned.
          if (instruction.isIpRelMemoryOperand) return { kind: "pointer" };
          return isSum(instruction)
            ? this.followSum(before, index, instruction.memoryBase, instruction.memoryIndex)
            : { kind: "unknown" };
        default:
          return POINTERS.has(instruction.mnemonic) ? { kind: "pointer" } : this.trailLost();
      }
    }
    // A parameter, or of the function's beginning: whoever gave it has read it somewhere.
    return { kind: "pointer" };
  }

  /** A function that loads no distances has no table of them. */
  private trailLost(): FollowedJump {
    return { kind: this.loadsDistances ? "unknown" : "pointer" };
  }

  /** The target is a sum: of a table's start and one of its entries, which are 4 bytes long. */
  private followSum(before: readonly number[], sum: number, one: Register, other: Register): FollowedJump {
    const terms = [one, other] as const;
    for (let index = sum - 1; index >= 0; index--) {
      const load = this.decode(before[index]);
      if (load.mnemonic !== Mnemonic.Movsxd || load.op1Kind !== OpKind.Memory) continue;
      const entry = terms.find((term) => writes(load, term));
      if (entry === undefined) continue;
      const base = RegisterExt.fullRegister(load.memoryBase);
      const origin = entry === terms[0] ? terms[1] : terms[0];
      const starts = this.valuesOf(before, index, base);
      if (base === origin) {
        // Of a register whose value is unknown, it can be any that any register was given.
        const tables = (starts ?? this.bases).map((at) => ({ at, origin: at }));
        return tables.length > 0 ? { kind: "table", tables } : { kind: "unknown" };
      }
      const origins = this.valuesOf(before, sum, origin);
      if (starts === undefined || origins === undefined) return { kind: "unknown" };
      const tables = starts.flatMap((at) => origins.map((each) => ({ at, origin: each })));
      return { kind: "table", tables };
    }
    return { kind: "unknown" };
  }

  /** What a register holds; undefined where that cannot be told. */
  private valuesOf(before: readonly number[], at: number, register: Register): readonly number[] | undefined {
    for (let index = at - 1; index >= 0; index--) {
      const instruction = this.decode(before[index]);
      if (!writes(instruction, register)) continue;
      if (instruction.mnemonic !== Mnemonic.Lea || !instruction.isIpRelMemoryOperand) return undefined;
      return [Number(BigInt.asIntN(64, instruction.ipRelMemoryAddress))];
    }
    return undefined;
  }

  private decode(offset: number | undefined): Instruction {
    this.decoder.position = offset ?? 0;
    this.decoder.ip = BigInt(this.at + (offset ?? 0));
    this.decoder.decodeOut(scratch);
    return scratch;
  }
}

/** `lea a, [b + c]`. */
function isSum(lea: Instruction): boolean {
  return (
    lea.memoryBase !== Register.None &&
    lea.memoryIndex !== Register.None &&
    lea.memoryIndexScale === 1 &&
    lea.memoryDisplacementU64 === 0n
  );
}

function writes(instruction: Instruction, register: Register): boolean {
  return (
    instruction.op0Kind === OpKind.Register &&
    RegisterExt.fullRegister(instruction.op0Register) === register &&
    !READS_ONLY.has(instruction.mnemonic)
  );
}

function isNearBranch(kind: OpKind): boolean {
  return kind === OpKind.NearBranch64 || kind === OpKind.NearBranch32 || kind === OpKind.NearBranch16;
}

const NEVER_GOES_ON: ReadonlySet<FlowControl> = new Set([
  FlowControl.UnconditionalBranch,
  FlowControl.IndirectBranch,
  FlowControl.Return,
]);

const READS_ONLY: ReadonlySet<Mnemonic> = new Set([Mnemonic.Cmp, Mnemonic.Test, Mnemonic.Bt, Mnemonic.Push]);

/** What leaves a whole address that was an address before: loads, copies, and the unmangling of longjmp. */
const POINTERS: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Pop,
  Mnemonic.Xor,
  Mnemonic.Ror,
  Mnemonic.Rol,
  Mnemonic.Cmovae, Mnemonic.Cmova, Mnemonic.Cmovb, Mnemonic.Cmovbe, Mnemonic.Cmove, Mnemonic.Cmovne,
  Mnemonic.Cmovg, Mnemonic.Cmovge, Mnemonic.Cmovl, Mnemonic.Cmovle, Mnemonic.Cmovs, Mnemonic.Cmovns,
]); // prettier-ignore

const IMMEDIATES: ReadonlySet<OpKind> = new Set([
  OpKind.Immediate32,
  OpKind.Immediate32to64,
  OpKind.Immediate64,
]);
