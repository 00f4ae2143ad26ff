import { type Address, offsetBy } from "../../../base/address.js";
import { EXCEPTIONS, type ExceptionVector, type ExceptionSet } from "../../../arch/x86_64/exceptions.js";
import type { InstructionFacts } from "../../../arch/x86_64/instruction-facts.js";
import { type RegisterFile, registerIndex } from "../../../arch/x86_64/registers.js";
import type { RaisedException } from "../../target.js";
import { StubError } from "../protocol/errors.js";
import { ExceptionFrame } from "./exception-frame.js";
import { EXCEPTION_VECTORS, vectorEnteredAt } from "./idt.js";
import type { Machine, Vcpu } from "./machine.js";
import { BREAKPOINT_VECTOR, type TrapSense } from "./trap-sense.js";

/** The `IF` flag. Intel SDM vol. 1, 3.4.3.3. */
const INTERRUPTS = 0x200n;
/** The `RF` flag: no breakpoint of the processor's own at the next instruction. Set in the frame of a fault, too. */
const RESUME = 0x10000n;
const DEBUG = 1;
const NMI = 2;
const PAGE_FAULT = 14;
const BREAKPOINT = 0xcc;
/** The selector of the kernel's code. Linux, arch/x86/include/asm/segment.h: __KERNEL_CS. */
const KERNEL_CODE = 0x10n;

/** No instruction takes so long, `rep` on gigabytes apart; milliseconds. */
const LONGEST = 60_000;
/** How often a step that does nothing is made again. */
const MOST_STEPS = 64;
/** An instruction that waits for an interrupt (`hlt`) is not waited for longer. */
const LONGEST_STEP = 2_000;

/** What becomes of the bytes under breakpoints that are met meanwhile. */
export interface Breakpoints {
  /** The byte under one of ours; undefined where none is there. */
  originalAt(at: Address): number | undefined;
}

/** An interrupt that a processor has begun to deal with, or an exception that is somebody else's: see ExceptionFrame. */
export interface Interrupt {
  readonly vector: number;
  readonly frame: ExceptionFrame;
}

/** What came of an instruction. */
export type Executed =
  /** `behind`: an interrupt came right behind it, and the processor stands at its beginning. */
  | { readonly kind: "done"; readonly behind?: Interrupt }
  | { readonly kind: "raised"; readonly exception: RaisedException; readonly frame: ExceptionFrame }
  /** An interrupt came first, and the processor stands at its beginning: the instruction is still to be executed. */
  | { readonly kind: "deferred"; readonly by: Interrupt }
  /** It does not end. The processor stands somewhere, and goes on by itself. */
  | { readonly kind: "lost" };

/**
 * Executes one instruction of one processor where it stands, while all others stand still. The processor's
 * wanted registers are what it begins with, and what it ends with.
 *
 * Not by a single step, where that can be helped: QEMU throws away its translations at every step, and one of
 * a `rep` instruction is one iteration. A breakpoint stands behind the instruction instead, interrupts are
 * held back by the processor's own flag, and exceptions are sensed meanwhile. What no flag holds back (an NMI, a
 * #DB of the guest's own breakpoints; in a step all interrupts, where the stub does not hold them back) is told
 * apart from the instruction's own doing by where it came: before the instruction, or behind.
 */
export class InPlace {
  constructor(
    private readonly machine: Machine,
    private readonly sense: TrapSense,
    private readonly breakpoints: Breakpoints,
  ) {}

  execute(vcpu: Vcpu, instruction: InstructionFacts, original: number): Executed {
    const { wanted } = vcpu;
    // A breakpoint of the guest's own at this address, in a debug register, was met before ours: only once.
    wanted.write("eflags", wanted.read("eflags") | RESUME);
    return mustStep(instruction)
      ? this.byStep(vcpu, instruction, original)
      : this.byBreakpointBehind(vcpu, instruction, original);
  }

  private byBreakpointBehind(vcpu: Vcpu, instruction: InstructionFacts, original: number): Executed {
    const { machine, sense } = this;
    const { wanted } = vcpu;
    const at = wanted.pc;
    const behind = offsetBy(at, instruction.length);
    const covered = new Uint8Array(1);
    if (machine.read(behind, covered) < 1)
      // The next instruction is not there: to fetch it will fault, and that is not this one's doing.
      return this.byStep(vcpu, instruction, original);
    const hadInterrupts = (wanted.read("eflags") & INTERRUPTS) !== 0n;
    wanted.write("eflags", wanted.read("eflags") & ~INTERRUPTS);
    this.put(at, original);
    if (covered[0] !== BREAKPOINT) this.put(behind, BREAKPOINT);
    sense.alsoAt([DEBUG, NMI, ...vectorsIn(instruction.raises)]);
    const lifted: Address[] = [];
    const executed = this.runTo(vcpu, { instruction, at, behind, hadInterrupts }, lifted);
    sense.noLonger();
    if (covered[0] !== BREAKPOINT) this.put(behind, covered[0] ?? 0);
    for (const each of [at, ...lifted])
      if (this.breakpoints.originalAt(each) !== undefined) this.put(each, BREAKPOINT);
    machine.client.pipeline.flush();
    return executed;
  }

  private runTo(vcpu: Vcpu, what: Executing, lifted: Address[]): Executed {
    const { sense } = this;
    const { behind, hadInterrupts } = what;
    const deadline = performance.now() + LONGEST;
    for (;;) {
      if (!this.run(vcpu, deadline)) return { kind: "lost" };
      const vector = sense.vectorAt(vcpu.actual.pc);
      // Whatever else stopped it: a watched word was read, somebody asked it to stop.
      if (vector === undefined) continue;
      const frame = this.frame(vcpu, vector);
      const met = offsetBy(frame.pc, -1);
      if (vector === BREAKPOINT_VECTOR && met === behind) {
        this.leave(vcpu, frame, behind, hadInterrupts);
        return { kind: "done" };
      }
      const begun = this.begun(vcpu, what, { vector, frame });
      if (begun !== undefined) return begun;
      const original = vector === BREAKPOINT_VECTOR ? this.breakpoints.originalAt(met) : undefined;
      if (original === undefined) sense.passOn(vcpu, vector);
      else {
        // In the handling of an exception that nobody foresaw: it must not see us, and its hit is missed.
        this.put(met, original);
        lifted.push(met);
        this.leave(vcpu, frame, met, false);
      }
    }
  }

  /** For what reads or writes the interrupt flag, waits, or never comes to what follows it. */
  private byStep(vcpu: Vcpu, instruction: InstructionFacts, original: number): Executed {
    const { machine } = this;
    const { wanted } = vcpu;
    const at = wanted.pc;
    const behind = offsetBy(at, instruction.length);
    this.put(at, original);
    const before = stateOf(wanted);
    for (let time = 0; time < MOST_STEPS; time++) {
      machine.step(vcpu);
      if (machine.wait(performance.now() + LONGEST_STEP) === undefined) machine.halt();
      machine.fetch(vcpu);
      // QEMU tells that a step is done, too, where somebody made the processor look up before it began: a timer's end.
      // Where nothing at all has changed the instruction can be executed again, whatever it was.
      if (!isSame(before, stateOf(vcpu.actual))) break;
    }
    const entered = this.enteredFrom(vcpu, at, behind);
    const what = { instruction, at, behind, hadInterrupts: false };
    const executed = (entered && this.begun(vcpu, what, entered)) ?? { kind: "done" };
    if (this.breakpoints.originalAt(at) !== undefined) this.put(at, BREAKPOINT);
    machine.client.pipeline.flush();
    return executed;
  }

  /** The exception or interrupt at whose beginning a processor stands after a step of this instruction. */
  private enteredFrom(vcpu: Vcpu, at: Address, behind: Address): Interrupt | undefined {
    const { machine, sense } = this;
    const { pc } = vcpu.actual;
    if (pc === behind) return undefined;
    // The table of all interrupts is looked into only where what lies on the stack may be a frame.
    const [plain, withCode] = [this.frame(vcpu, BREAKPOINT_VECTOR), this.frame(vcpu, PAGE_FAULT)];
    const isFrame = (frame: ExceptionFrame): boolean =>
      (frame.pc === at || frame.pc === behind) && frame.cs === KERNEL_CODE;
    if (!isFrame(plain) && !isFrame(withCode)) return undefined;
    const vector = sense.vectorAt(pc) ?? vectorEnteredAt((from, into) => machine.read(from, into), pc);
    return vector === undefined ? undefined : { vector, frame: this.frame(vcpu, vector) };
  }

  /** What it says of the instruction that an exception or interrupt has begun; undefined: nothing. */
  private begun(vcpu: Vcpu, what: Executing, interrupt: Interrupt): Executed | undefined {
    const { vector, frame } = interrupt;
    const { instruction, at, behind, hadInterrupts } = what;
    if (frame.pc !== at && frame.pc !== behind) return undefined;
    if (isOwn(vector, instruction, frame.pc === at)) return this.raised(vcpu, vector, frame, hadInterrupts);
    if (frame.pc === behind && vector < EXCEPTION_VECTORS && vector !== DEBUG && vector !== NMI)
      return undefined;
    const flags = this.flagsWithout(frame, hadInterrupts);
    vcpu.reset();
    const { wanted } = vcpu;
    wanted.pc = frame.pc;
    wanted.sp = frame.stack;
    wanted.write("eflags", flags);
    return frame.pc === at ? { kind: "deferred", by: interrupt } : { kind: "done", behind: interrupt };
  }

  /** @returns false where the processor does not stop */
  private run(vcpu: Vcpu, deadline: number): boolean {
    const { machine } = this;
    machine.go(vcpu);
    const reply = machine.wait(deadline);
    if (reply === undefined) {
      machine.halt();
      machine.fetch(vcpu);
      return false;
    }
    if (reply.kind !== "stopped") throw ended(machine);
    machine.fetch(vcpu);
    return true;
  }

  private raised(vcpu: Vcpu, vector: number, frame: ExceptionFrame, hadInterrupts: boolean): Executed {
    const { wanted } = vcpu;
    const flags = this.flagsWithout(frame, hadInterrupts, !isTrap(vector));
    wanted.bytes.set(vcpu.actual.bytes);
    wanted.pc = frame.pc;
    wanted.sp = frame.stack;
    wanted.write("eflags", flags & ~RESUME);
    const facts = vector in EXCEPTIONS ? EXCEPTIONS[vector as ExceptionVector] : undefined;
    const exception: RaisedException = {
      name: facts?.mnemonic ?? `vector ${String(vector)}`,
      vector,
      errorCode: frame.errorCode,
      address: vector === PAGE_FAULT ? this.machine.client.readRegister("cr2") : undefined,
      raisedAs: isTrap(vector) ? "trap" : "fault",
      // Linux goes back to the instruction after page faults alone; after others it goes elsewhere, or dies.
      retryable: vector === PAGE_FAULT,
    };
    return { kind: "raised", exception, frame };
  }

  /**
   * The flags of a frame as they would be without us, there and from now on.
   *
   * @param resumes whether the processor itself sets `RF` there
   */
  private flagsWithout(frame: ExceptionFrame, hadInterrupts: boolean, resumes = false): bigint {
    let flags = hadInterrupts ? frame.flags | INTERRUPTS : frame.flags;
    if (!resumes) flags &= ~RESUME;
    if (flags !== frame.flags) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigUint64(0, flags, true);
      this.machine.client.pipeline.write(frame.flagsAt, bytes, () => undefined);
    }
    return flags;
  }

  /** As though the `int3` behind the instruction had not been. */
  private leave(vcpu: Vcpu, frame: ExceptionFrame, pc: Address, hadInterrupts: boolean): void {
    vcpu.reset();
    const { wanted } = vcpu;
    wanted.pc = pc;
    wanted.sp = frame.stack;
    // QEMU takes RF away at the end of what it has translated in one piece.
    const flags = frame.flags & ~RESUME;
    wanted.write("eflags", hadInterrupts ? flags | INTERRUPTS : flags);
  }

  private frame(vcpu: Vcpu, vector: number): ExceptionFrame {
    const frame = new ExceptionFrame(vcpu.actual.sp, vector);
    this.machine.read(frame.sp, frame.bytes);
    return frame;
  }

  private put(at: Address, byte: number): void {
    this.machine.client.pipeline.write(at, Uint8Array.of(byte), (done) => {
      if (!done)
        throw new StubError("refused", `${this.machine.client.name}: the kernel's text cannot be written`);
    });
  }
}

/** An instruction that is being executed. */
interface Executing {
  readonly instruction: InstructionFacts;
  readonly at: Address;
  readonly behind: Address;
  /** Interrupts are held back for it, and were not before. */
  readonly hadInterrupts: boolean;
}

const STEPPED: ReadonlySet<string> = new Set([
  "sti", "cli", "popf", "popfq", "pushf", "pushfq", "hlt", "mwait", "monitor", "ud2", "clui", "stui",
]); // prettier-ignore

function mustStep({ mnemonic, flow, endsFlow, shadowsNext }: InstructionFacts): boolean {
  return STEPPED.has(mnemonic) || flow !== "next" || endsFlow || shadowsNext;
}

function vectorsIn(set: ExceptionSet): number[] {
  const vectors: number[] = [];
  for (let vector = 0; vector < EXCEPTION_VECTORS; vector++)
    if ((set & (1 << vector)) !== 0) vectors.push(vector);
  return vectors;
}

function isTrap(vector: number): boolean {
  return vector in EXCEPTIONS && EXCEPTIONS[vector as ExceptionVector].class === "trap";
}

/** Is an exception the instruction's own doing? Others may come before it, or behind. */
function isOwn(vector: number, { raises }: InstructionFacts, isAtIt: boolean): boolean {
  if (vector >= EXCEPTION_VECTORS || vector === NMI) return false;
  if (vector === DEBUG) return (raises & (1 << DEBUG)) !== 0;
  return isAtIt || isTrap(vector);
}

/** All registers, program counter included, but for `RF`. */
function stateOf(registers: RegisterFile): BigUint64Array {
  const values = registers.values.slice();
  const flags = registerIndex("eflags");
  values[flags] = (values[flags] ?? 0n) & ~RESUME;
  return values;
}

function isSame(one: BigUint64Array, other: BigUint64Array): boolean {
  return one.every((value, index) => value === other[index]);
}

function ended(machine: Machine): StubError {
  return new StubError(
    "closed",
    `${machine.client.name}: the machine ended while it executed an instruction`,
  );
}
