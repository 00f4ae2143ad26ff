import { type Address, offsetBy } from "../../../base/address.js";
import { EXCEPTIONS, type ExceptionVector, type ExceptionSet } from "../../../arch/x86_64/exceptions.js";
import type { InstructionFacts } from "../../../arch/x86_64/instruction-facts.js";
import type { RaisedException } from "../../target.js";
import { StubError } from "../protocol/errors.js";
import { ExceptionFrame } from "./exception-frame.js";
import { EXCEPTION_VECTORS } from "./idt.js";
import type { Machine, Vcpu } from "./machine.js";
import { BREAKPOINT_VECTOR, type TrapSense } from "./trap-sense.js";

/** The `IF` flag. Intel SDM vol. 1, 3.4.3.3. */
const INTERRUPTS = 0x200n;
/** The `RF` flag, which the processor sets in the frame of a fault. */
const RESUME = 0x10000n;
const PAGE_FAULT = 14;
const BREAKPOINT = 0xcc;

/** No instruction takes so long, `rep` on gigabytes apart; milliseconds. */
const LONGEST = 60_000;
/** An instruction that waits for an interrupt (`hlt`) is not waited for longer. */
const LONGEST_STEP = 2_000;

/** What becomes of the bytes under breakpoints that are met meanwhile (by an NMI). */
export interface Breakpoints {
  /** The byte under one of ours; undefined where none is there. */
  originalAt(at: Address): number | undefined;
}

/** What came of an instruction. */
export type Executed =
  | { readonly kind: "done" }
  | { readonly kind: "raised"; readonly exception: RaisedException; readonly frame: ExceptionFrame }
  /** It does not end. The processor stands somewhere, and goes on by itself. */
  | { readonly kind: "lost" };

/**
 * Executes one instruction of one processor where it stands, while all others stand still. The processor's
 * wanted registers are what it begins with, and what it ends with.
 *
 * Not by a single step, where that can be helped: QEMU throws away its translations at every step, and one of
 * a `rep` instruction is one iteration. A breakpoint stands behind the instruction instead, interrupts are
 * held back by the processor's own flag, and exceptions are sensed meanwhile.
 */
export class InPlace {
  constructor(
    private readonly machine: Machine,
    private readonly sense: TrapSense,
    private readonly breakpoints: Breakpoints,
    /** Where the kernel deals with interrupts: the entry of a vector from its table. */
    private readonly vectorOfEntry: (pc: Address) => number | undefined,
  ) {}

  execute(vcpu: Vcpu, instruction: InstructionFacts, original: number): Executed {
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
    sense.alsoAt(vectorsIn(instruction.raises));
    const lifted: Address[] = [];
    const executed = this.runTo(vcpu, at, behind, hadInterrupts, lifted);
    sense.noLonger();
    if (covered[0] !== BREAKPOINT) this.put(behind, covered[0] ?? 0);
    for (const each of [at, ...lifted])
      if (this.breakpoints.originalAt(each) !== undefined) this.put(each, BREAKPOINT);
    machine.client.pipeline.flush();
    return executed;
  }

  private runTo(
    vcpu: Vcpu,
    at: Address,
    behind: Address,
    hadInterrupts: boolean,
    lifted: Address[],
  ): Executed {
    const { sense } = this;
    const deadline = performance.now() + LONGEST;
    for (;;) {
      if (!this.run(vcpu, deadline)) return { kind: "lost" };
      const vector = sense.vectorAt(vcpu.actual.pc);
      // Whatever else stopped it: a watched word was read, somebody asked it to stop.
      if (vector === undefined) continue;
      const frame = this.frame(vcpu, vector);
      if (vector === BREAKPOINT_VECTOR) {
        const met = offsetBy(frame.pc, -1);
        if (met === behind) {
          this.leave(vcpu, frame, frame.pc - 1, hadInterrupts);
          return { kind: "done" };
        }
        if (frame.pc === behind) return this.raised(vcpu, vector, frame, hadInterrupts);
        const original = this.breakpoints.originalAt(met);
        if (original === undefined) sense.passOn(vcpu, vector);
        else {
          // Of an NMI: it must not see us, and its hit is missed.
          this.put(met, original);
          lifted.push(met);
          this.leave(vcpu, frame, met, false);
        }
        continue;
      }
      if (frame.pc === at || (frame.pc === behind && isTrap(vector)))
        return this.raised(vcpu, vector, frame, hadInterrupts);
      sense.passOn(vcpu, vector);
    }
  }

  /** For what reads or writes the interrupt flag, waits, or never comes to what follows it. */
  private byStep(vcpu: Vcpu, instruction: InstructionFacts, original: number): Executed {
    const { machine } = this;
    const { wanted } = vcpu;
    const at = wanted.pc;
    const sp = wanted.sp;
    this.put(at, original);
    machine.step(vcpu);
    if (machine.wait(performance.now() + LONGEST_STEP) === undefined) machine.halt();
    machine.fetch(vcpu);
    let executed: Executed = { kind: "done" };
    const { pc } = vcpu.actual;
    const vector = this.sense.vectorAt(pc) ?? this.vectorOfEntry(pc);
    if (vector !== undefined) {
      const frame = this.frame(vcpu, vector);
      const isOurs = frame.pc === at || frame.pc === offsetBy(at, instruction.length);
      if (isOurs && vector < EXCEPTION_VECTORS && vector !== 2)
        executed = this.raised(vcpu, vector, frame, false);
      // An interrupt came first, as stubs let them come that are told to: the instruction is still to be executed.
      else if (frame.pc === at) executed = this.afterInterrupt(vcpu, at, sp);
    }
    if (this.breakpoints.originalAt(at) !== undefined) this.put(at, BREAKPOINT);
    machine.client.pipeline.flush();
    return executed;
  }

  /** Lets an interrupt that came first be dealt with, and steps then. */
  private afterInterrupt(vcpu: Vcpu, at: Address, sp: Address): Executed {
    const { machine } = this;
    const deadline = performance.now() + LONGEST_STEP;
    while (performance.now() < deadline) {
      machine.step(vcpu);
      if (machine.wait(deadline) === undefined) machine.halt();
      machine.fetch(vcpu);
      if (vcpu.actual.sp === sp && vcpu.actual.pc !== at) return { kind: "done" };
    }
    return { kind: "lost" };
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
    if (hadInterrupts) {
      // What the kernel finds in the frame is what it would find without us.
      const flags = new Uint8Array(8);
      new DataView(flags.buffer).setBigUint64(0, frame.flags | INTERRUPTS, true);
      this.machine.client.pipeline.write(frame.flagsAt, flags, () => undefined);
    }
    wanted.bytes.set(vcpu.actual.bytes);
    wanted.pc = frame.pc;
    wanted.sp = frame.stack;
    const flags = hadInterrupts ? frame.flags | INTERRUPTS : frame.flags;
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

  /** As though the `int3` behind the instruction had not been. */
  private leave(vcpu: Vcpu, frame: ExceptionFrame, pc: number, hadInterrupts: boolean): void {
    vcpu.reset();
    const { wanted } = vcpu;
    wanted.pc = pc as Address;
    wanted.sp = frame.stack;
    wanted.write("eflags", hadInterrupts ? frame.flags | INTERRUPTS : frame.flags);
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

function ended(machine: Machine): StubError {
  return new StubError(
    "closed",
    `${machine.client.name}: the machine ended while it executed an instruction`,
  );
}
