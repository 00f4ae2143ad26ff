import {
  Code,
  CpuidFeature,
  EncodingKind,
  FlowControl,
  type Instruction,
  Mnemonic,
  OpKind,
  Register,
} from "./iced.js";
import { type ExceptionSet, exceptionSet } from "./exceptions.js";

/** What kind of way an instruction takes: `next` goes on behind it. */
export type Flow =
  | "next"
  | "jump"
  | "conditional-jump"
  | "call"
  | "return"
  | "system-call"
  /** int3, int n, int1, ud2: by design raises an exception. */
  | "exception";

/** What the probe core wants to know of an instruction, beside how to displace it. */
export interface InstructionFacts {
  /** Bytes, 1 … 15. */
  readonly length: number;
  /** Lower case, without operands: `"vpaddd"`. */
  readonly mnemonic: string;
  readonly flow: Flow;
  /** syscall, sysenter, int 0x80. */
  readonly isSystemCall: boolean;
  /**
   * Exceptions it can raise by itself; may hold too many, never too few of those that Linux turns
   * into a signal. Instruction fetch and debug registers do not count.
   */
  readonly raises: ExceptionSet;
  /** `rep` string: many iterations, interruptible between them, registers then half way. Never single-step one. */
  readonly isRepString: boolean;
  /** Control never goes on behind it: jmp, ret, iret, ud2 … (a call and a system call do come back). */
  readonly endsFlow: boolean;
  /** Changes at least one flag (where it does not fault). */
  readonly writesFlags: boolean;
  /** mov ss, sti: a single step also runs the instruction behind it. */
  readonly shadowsNext: boolean;
  /**
   * popf, iret: may set the trap flag. The processor then traps after *one more* instruction,
   * which in a slot is the jump back: such a trap at the following address is one too early and
   * belongs to the instruction there, with nothing to deliver yet.
   */
  readonly maySetTrapFlag: boolean;
  /** x87: the processor remembers the address it ran at, for fnstenv, fxsave and signal frames to show. */
  readonly leavesItsAddress: boolean;
  /** May change the stack pointer; may be true of one that only reads it, never false of one that changes it. */
  readonly changesStackPointer: boolean;
}

/** Exceptions of any access to memory. */
const MEMORY = exceptionSet("#PF", "#GP", "#SS", "#AC");
const UD = exceptionSet("#UD");
const GP = exceptionSet("#GP");

/** Facts that depend on the opcode alone, found once for each. */
interface CodeFacts {
  readonly mnemonic: string;
  readonly flow: Flow;
  readonly raises: ExceptionSet;
  readonly touchesMemory: boolean;
  readonly addressesWithoutAccess: boolean;
  readonly isSystemCall: boolean;
  readonly isString: boolean;
  readonly endsFlow: boolean;
  readonly shadowsNext: boolean;
  readonly maySetTrapFlag: boolean;
  readonly leavesItsAddress: boolean;
}

const byCode = new Map<Code, CodeFacts>();

/** Facts of a decoded, valid instruction. */
export function instructionFacts(instruction: Instruction): InstructionFacts {
  const code = instruction.code;
  let facts = byCode.get(code);
  if (facts === undefined) {
    facts = codeFacts(instruction);
    byCode.set(code, facts);
  }
  const accesses = facts.touchesMemory || (!facts.addressesWithoutAccess && hasMemoryOperand(instruction));
  const isSystemCall = facts.isSystemCall || isLinuxInterrupt(instruction);
  return {
    length: instruction.length,
    mnemonic: facts.mnemonic,
    flow: isSystemCall ? "system-call" : facts.flow,
    isSystemCall,
    raises: facts.raises | (accesses ? MEMORY : 0) | raisedByInterrupt(instruction),
    isRepString: facts.isString && (instruction.hasRepPrefix || instruction.hasRepnePrefix),
    endsFlow: facts.endsFlow,
    writesFlags: instruction.rflagsModified !== 0,
    shadowsNext: facts.shadowsNext || writesStackSegment(instruction),
    maySetTrapFlag: facts.maySetTrapFlag,
    leavesItsAddress: facts.leavesItsAddress,
    changesStackPointer: instruction.isStackInstruction || namesStackPointer(instruction),
  };
}

const STACK_POINTERS: ReadonlySet<Register> = new Set([
  Register.RSP,
  Register.ESP,
  Register.SP,
  Register.SPL,
]);

function namesStackPointer(instruction: Instruction): boolean {
  for (let operand = 0; operand < instruction.opCount; operand++)
    if (
      instruction.opKind(operand) === OpKind.Register &&
      STACK_POINTERS.has(instruction.opRegister(operand))
    )
      // `mov rbp, rsp` alone, of what is common, reads it.
      return !(operand > 0 && instruction.mnemonic === Mnemonic.Mov);
  return false;
}

function codeFacts(instruction: Instruction): CodeFacts {
  const { code, mnemonic } = instruction;
  const flow = flowOf(instruction);
  const features = instruction.cpuidFeatures();
  const isX87 = features.includes(CpuidFeature.FPU) || features.includes(CpuidFeature.FPU287);
  return {
    mnemonic: Mnemonic[mnemonic].toLowerCase(),
    flow,
    raises: exceptionsOf(instruction, flow, features, isX87),
    touchesMemory:
      instruction.isStackInstruction || instruction.isStringInstruction || IMPLICIT_MEMORY.has(mnemonic),
    addressesWithoutAccess: NO_ACCESS.has(mnemonic),
    isSystemCall: flow === "system-call",
    isString: instruction.isStringInstruction,
    endsFlow: endsFlow(instruction, flow),
    shadowsNext: code === Code.Sti,
    maySetTrapFlag: POPS_FLAGS.has(mnemonic),
    leavesItsAddress: isX87 && !X87_CONTROL.has(mnemonic),
  };
}

function flowOf(instruction: Instruction): Flow {
  if (isSystemCall(instruction)) return "system-call";
  switch (instruction.flowControl) {
    case FlowControl.Next:
    case FlowControl.XbeginXabortXend:
      return "next";
    case FlowControl.UnconditionalBranch:
    case FlowControl.IndirectBranch:
      return "jump";
    case FlowControl.ConditionalBranch:
      return "conditional-jump";
    case FlowControl.Return:
      return "return";
    case FlowControl.Call:
    case FlowControl.IndirectCall:
      // The decoder counts vmcall, vmlaunch and their like as calls, too; those come back behind themselves.
      return instruction.isCallNear || instruction.isCallNearIndirect || instruction.isCallFarIndirect
        ? "call"
        : "next";
    case FlowControl.Interrupt:
    case FlowControl.Exception:
      return "exception";
    default:
      return "next";
  }
}

function isSystemCall(instruction: Instruction): boolean {
  return instruction.mnemonic === Mnemonic.Syscall || instruction.mnemonic === Mnemonic.Sysenter;
}

const LINUX_INTERRUPT = 0x80;

function isLinuxInterrupt(instruction: Instruction): boolean {
  return instruction.code === Code.Int_imm8 && instruction.immediate8 === LINUX_INTERRUPT;
}

function endsFlow(instruction: Instruction, flow: Flow): boolean {
  if (flow === "jump" || flow === "return") return true;
  return flow === "exception" && instruction.flowControl === FlowControl.Exception;
}

function exceptionsOf(
  instruction: Instruction,
  flow: Flow,
  features: Int32Array,
  isX87: boolean,
): ExceptionSet {
  const { mnemonic } = instruction;
  let set = EXTRA_EXCEPTIONS.get(mnemonic) ?? 0;
  if (instruction.isPrivileged) set |= GP;
  if (movesToSegment(instruction.code)) set |= exceptionSet("#GP", "#NP", "#SS", "#UD");
  if (flow === "jump" || flow === "call" || flow === "return" || flow === "conditional-jump")
    set |= GP | exceptionSet("#CP");
  if (isX87 || features.includes(CpuidFeature.MMX)) set |= exceptionSet("#MF");
  // An extension that this processor may lack; that of the base instruction set it cannot.
  if (!features.every((feature) => ALWAYS_THERE.has(feature))) set |= UD;
  if (instruction.encoding !== EncodingKind.Legacy || features.some(isVectorFloat))
    set |= exceptionSet("#XM");
  if (instruction.flowControl === FlowControl.Exception) set |= UD;
  return set;
}

const VECTOR_FLOAT: ReadonlySet<number> = new Set([
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.SSE3,
  CpuidFeature.SSE4_1,
]);

function isVectorFloat(feature: number): boolean {
  return VECTOR_FLOAT.has(feature);
}

/** mov ss; there is no pop ss in 64-bit mode. */
function writesStackSegment(instruction: Instruction): boolean {
  return movesToSegment(instruction.code) && instruction.op0Register === Register.SS;
}

function movesToSegment(code: Code): boolean {
  switch (code) {
    case Code.Mov_Sreg_rm16:
    case Code.Mov_Sreg_r32m16:
    case Code.Mov_Sreg_r64m16:
      return true;
    default:
      return false;
  }
}

/** The gates of vectors 3, 4 and 0x80 are open to user code, all others answer #GP. Linux arch/x86/kernel/idt.c. */
function raisedByInterrupt(instruction: Instruction): ExceptionSet {
  if (instruction.code !== Code.Int_imm8) return 0;
  switch (instruction.immediate8) {
    case 3:
      return exceptionSet("#BP");
    case 4:
      return exceptionSet("#OF");
    default:
      return GP;
  }
}

const MEMORY_OPERANDS: ReadonlySet<OpKind> = new Set([
  OpKind.Memory,
  OpKind.MemorySegSI,
  OpKind.MemorySegESI,
  OpKind.MemorySegRSI,
  OpKind.MemorySegDI,
  OpKind.MemorySegEDI,
  OpKind.MemorySegRDI,
  OpKind.MemoryESDI,
  OpKind.MemoryESEDI,
  OpKind.MemoryESRDI,
]);

function hasMemoryOperand(instruction: Instruction): boolean {
  for (let index = 0, count = instruction.opCount; index < count; index++) {
    if (MEMORY_OPERANDS.has(instruction.opKind(index))) return true;
  }
  return false;
}

/** Every processor in 64-bit mode has these. */
const ALWAYS_THERE: ReadonlySet<number> = new Set([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.CMOV,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.FPU,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
  CpuidFeature.MMX,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.CPUID,
  CpuidFeature.SYSCALL,
  CpuidFeature.TSC,
]);

/** A memory operand that names an address and does not use it. */
const NO_ACCESS: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Lea,
  Mnemonic.Nop,
  Mnemonic.Reservednop,
  Mnemonic.Prefetch,
  Mnemonic.Prefetchw,
  Mnemonic.Prefetchwt1,
  Mnemonic.Prefetchnta,
  Mnemonic.Prefetcht0,
  Mnemonic.Prefetcht1,
  Mnemonic.Prefetcht2,
  Mnemonic.Prefetchit0,
  Mnemonic.Prefetchit1,
  Mnemonic.Cldemote,
]);

/** Memory named by a register, without a memory operand. */
const IMPLICIT_MEMORY: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Clzero,
  Mnemonic.Monitor,
  Mnemonic.Monitorx,
  Mnemonic.Umonitor,
  Mnemonic.Xlatb,
]);

/** pop into the flags, or a return that restores them. */
const POPS_FLAGS: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Popf,
  Mnemonic.Popfd,
  Mnemonic.Popfq,
  Mnemonic.Iret,
  Mnemonic.Iretd,
  Mnemonic.Iretq,
  Mnemonic.Uiret,
]);

/** x87 instructions that leave the instruction pointer of the unit alone. Intel SDM vol. 1, 8.1.8. */
const X87_CONTROL: ReadonlySet<Mnemonic> = new Set([
  Mnemonic.Fninit,
  Mnemonic.Finit,
  Mnemonic.Fnclex,
  Mnemonic.Fclex,
  Mnemonic.Fldcw,
  Mnemonic.Fnstcw,
  Mnemonic.Fstcw,
  Mnemonic.Fnstsw,
  Mnemonic.Fstsw,
  Mnemonic.Fnstenv,
  Mnemonic.Fstenv,
  Mnemonic.Fldenv,
  Mnemonic.Fnsave,
  Mnemonic.Fsave,
  Mnemonic.Frstor,
  Mnemonic.Wait,
]);

/** Exceptions that neither an operand, a privilege nor an extension explains. Intel SDM vol. 2, by instruction. */
const EXTRA_EXCEPTIONS: ReadonlyMap<Mnemonic, ExceptionSet> = new Map<Mnemonic, ExceptionSet>([
  [Mnemonic.Div, exceptionSet("#DE")],
  [Mnemonic.Idiv, exceptionSet("#DE")],
  [Mnemonic.Int3, exceptionSet("#BP")],
  [Mnemonic.Int1, exceptionSet("#DB")],
  [Mnemonic.Wait, exceptionSet("#MF")],
  // Segment registers: a bad selector.
  [Mnemonic.Pop, exceptionSet("#GP", "#NP", "#SS")],
  [Mnemonic.Lfs, exceptionSet("#GP", "#NP")],
  [Mnemonic.Lgs, exceptionSet("#GP", "#NP")],
  [Mnemonic.Lss, exceptionSet("#GP", "#NP", "#SS")],
  [Mnemonic.Iretq, exceptionSet("#GP", "#NP", "#SS")],
  [Mnemonic.Iretd, exceptionSet("#GP", "#NP", "#SS")],
  [Mnemonic.Retf, exceptionSet("#GP", "#NP", "#SS")],
  [Mnemonic.Jmp, exceptionSet("#GP", "#NP", "#SS")],
  [Mnemonic.Call, exceptionSet("#GP", "#NP", "#SS")],
  [Mnemonic.Leave, exceptionSet("#SS", "#GP")],
  [Mnemonic.Enter, exceptionSet("#SS", "#GP")],
  // The kernel can close these to a process: prctl(PR_SET_TSC), ARCH_SET_CPUID, CR4.PCE, UMIP.
  [Mnemonic.Rdtsc, GP],
  [Mnemonic.Rdtscp, GP],
  [Mnemonic.Cpuid, GP],
  [Mnemonic.Rdpmc, GP],
  [Mnemonic.Sgdt, GP],
  [Mnemonic.Sidt, GP],
  [Mnemonic.Sldt, GP],
  [Mnemonic.Smsw, GP],
  [Mnemonic.Str, GP],
  // Reserved bits or values in registers.
  [Mnemonic.Wrfsbase, GP],
  [Mnemonic.Wrgsbase, GP],
  [Mnemonic.Xgetbv, GP],
  [Mnemonic.Wrpkru, GP],
  [Mnemonic.Rdpkru, GP],
  [Mnemonic.Rdpru, GP],
  [Mnemonic.Tpause, GP],
  [Mnemonic.Umwait, GP],
  [Mnemonic.Xend, GP],
  [Mnemonic.Senduipi, GP],
  // Port input and output, and the interrupt flag: open only with I/O privilege.
  [Mnemonic.In, GP],
  [Mnemonic.Out, GP],
  [Mnemonic.Insb, GP],
  [Mnemonic.Insw, GP],
  [Mnemonic.Insd, GP],
  [Mnemonic.Outsb, GP],
  [Mnemonic.Outsw, GP],
  [Mnemonic.Outsd, GP],
  [Mnemonic.Cli, GP],
  [Mnemonic.Sti, GP],
  // Shadow stacks.
  [Mnemonic.Rstorssp, exceptionSet("#CP", "#GP")],
  [Mnemonic.Incsspd, exceptionSet("#CP")],
  [Mnemonic.Incsspq, exceptionSet("#CP")],
  [Mnemonic.Bndcl, exceptionSet("#BR")],
  [Mnemonic.Bndcn, exceptionSet("#BR")],
  [Mnemonic.Bndcu, exceptionSet("#BR")],
]);
