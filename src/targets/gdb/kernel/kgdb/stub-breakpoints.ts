import { EFLAGS } from "../../../../arch/x86_64/registers.js";
import { MAX_INSTRUCTION_LENGTH, withInstruction } from "../../../../arch/x86_64/decode.js";
import { type InstructionFacts, instructionFacts } from "../../../../arch/x86_64/instruction-facts.js";
import { type Address, offsetBy } from "../../../../base/address.js";
import { ProbeRefused } from "../../../../base/errors.js";
import type { Vaddr } from "../../../../symbols/vaddr.js";
import type { ThreadId } from "../../../target.js";
import { BREAK } from "../../protocol/client.js";
import { StubError, StubRefusal } from "../../protocol/errors.js";
import type { StopReply } from "../../protocol/stop-reply.js";
import type { StubThread } from "../../protocol/thread-ids.js";
import type { Arrivals, Carrier, Standing, Stopped } from "../carrier.js";
import type { Focus } from "../focus.js";
import type { Vcpu } from "../machine.js";
import { BREAKPOINT_VECTOR } from "../trap-sense.js";
import { SIGTRAP } from "./boot.js";
import type { KgdbMachine } from "./kgdb-machine.js";
import { NO_FAULTS, refusedByKgdb } from "./refusals.js";
import { Processors, type Symbols } from "./processors.js";
import { pulses } from "./pulse.js";

/** The `IF` flag. Intel SDM vol. 1, 3.4.3.3. */
const INTERRUPTS = 0x200n;
/** include/linux/kgdb.h: KGDB_MAX_BREAKPOINTS. One that was taken out keeps its place for its address. */
const MOST_BREAKPOINTS = 1000;
/** How often what processors have met already may be waited for when we leave. */
const MOST_ROUNDS = 1000;

/** Instructions that show or change the interrupt flag, or wait for an interrupt. */
const OF_INTERRUPTS: ReadonlySet<string> = new Set([
  "sti", "cli", "popf", "popfq", "pushf", "pushfq", "hlt", "mwait", "mwaitx",
]); // prettier-ignore

/** The half-sentences of refusals. */
const WHY = {
  full: `KGDB holds ${MOST_BREAKPOINTS.toLocaleString("en")} breakpoints (KGDB_MAX_BREAKPOINTS), those taken out included; probe fewer places, or connect again`,
  forbidden: "KGDB refuses it: it is on the kernel's list of what must not be probed, or no text",
} as const;

/** An instruction that a task executes in its place. */
interface Executing {
  /** Who is told when it is done; undefined: nobody. */
  readonly thread: ThreadId | undefined;
  readonly at: Address;
  /** Where the task is when it is done; undefined: only the processor knows. */
  readonly behind: Address | undefined;
  readonly hadInterrupts: boolean;
}

/**
 * Breakpoints of a stub that is part of the kernel (KGDB), place by place: it uses `int3` itself. They are in the
 * text while the kernel runs, and not while it stands. A stop is one processor's; the others stand until it goes on.
 *
 * An instruction that cannot be emulated is stepped in its place, without its breakpoint, interrupts held back.
 * KGDB lets the other processors run meanwhile: what they execute there is no hit.
 */
export class StubBreakpoints implements Carrier {
  readonly visible = false;
  readonly keepsStackPointer = true;
  readonly hidesFaults = NO_FAULTS;
  readonly withoutUsers = "user memory, which KGDB does not read or write";
  private readonly placed = new Set<Address>();
  /** Those that KGDB has a place for. */
  private readonly remembered = new Set<Address>();
  private readonly executing = new Map<StubThread, Executing>();
  private readonly processors: Processors;
  /** What the stub calls the task that a processor stopped with. */
  private readonly taskOn = new Map<Vcpu, StubThread>();

  /** Where the kernel comes again and again: see pulses. */
  private readonly pulse: Address | undefined;

  constructor(
    private readonly machine: KgdbMachine,
    private readonly focus: Focus,
    private readonly image: Symbols,
    private readonly slide: number,
    private readonly currentAt: (vcpu: Vcpu) => Address | undefined,
    private readonly arrivals: Arrivals,
  ) {
    this.processors = new Processors(machine, image, slide);
    this.pulse = pulses(machine, image, slide).find((at) => this.mayPut(at));
  }

  insert(at: Address): void {
    this.machine.stand();
    if (this.placed.has(at)) return;
    this.refuse(at);
    if (at !== this.pulse && !this.isLifted(at)) this.put(at);
    this.placed.add(at);
  }

  remove(at: Address): boolean {
    this.machine.stand();
    if (this.placed.delete(at) && at !== this.pulse && !this.isLifted(at)) this.lift(at);
    return true;
  }

  interpret(stop: Stopped): void {
    const { machine } = this;
    const vcpu = this.processors.fetch(stop);
    this.focus.vcpu = vcpu;
    const task = stop.thread ?? vcpu.thread;
    this.taskOn.set(vcpu, task);
    const executing = this.executing.get(task);
    if (stop.signal !== SIGTRAP) {
      // The kernel's own misfortune: it does what it would without us.
      machine.passesOn = true;
      if (executing !== undefined) this.settle(vcpu, task, executing);
      return;
    }
    const { pc } = vcpu.actual;
    const at = offsetBy(pc, -1);
    const isPlaced = this.placed.has(at) && !this.isLifted(at);
    if (executing !== undefined && (pc === executing.behind || executing.behind === undefined || !isPlaced)) {
      this.settle(vcpu, task, executing);
      const isDone = executing.behind === undefined || pc === executing.behind;
      if (isDone && executing.thread !== undefined) this.arrivals.executed(executing.thread, vcpu);
      return;
    }
    if (isPlaced) this.arrive(vcpu, at);
    else if (at === this.pulse) this.passPulse(vcpu, at);
    // All others are breakpoints that the kernel has in itself, for those who want to stop it: it goes on.
  }

  execute(thread: ThreadId, vcpu: Vcpu, instruction: InstructionFacts): { readonly kind: "begun" } {
    this.begin(thread, vcpu, instruction);
    return { kind: "begun" };
  }

  deliver(): void {
    // An exception that it could deal with is not told of, and a breakpoint is KGDB's.
  }

  leave(untold: readonly Standing[], ended: (reply: Exclude<StopReply, Stopped>) => void): void {
    const { machine } = this;
    for (const { vcpu, vector } of untold)
      if (vector === BREAKPOINT_VECTOR) vcpu.wanted.pc = offsetBy(vcpu.wanted.pc, -1);
    for (const at of [...this.placed]) this.remove(at);
    for (let round = 0; this.isSomebodyWaiting() && round < MOST_ROUNDS; round++) {
      // It runs already where the pulse's instruction is being stepped.
      if (!machine.isRunning) machine.go();
      const reply = machine.halt();
      if (reply !== undefined && reply.kind !== "stopped") {
        ended(reply);
        return;
      }
      if (reply !== undefined) this.interpret(reply);
    }
    for (const vcpu of machine.vcpus) if (vcpu.isKnown) machine.writeBack(vcpu);
    machine.client.pipeline.flush();
    if (this.pulse !== undefined && !this.isLifted(this.pulse)) this.lift(this.pulse);
    machine.client.detach();
  }

  private refuse(at: Address): void {
    const bytes = new Uint8Array(MAX_INSTRUCTION_LENGTH);
    const length = this.focus.read(at, bytes);
    const vaddr = (at - this.slide) as Vaddr;
    const refused = refusedByKgdb({
      at,
      bytes: bytes.subarray(0, length),
      function: this.image.symbolAt(vaddr)?.name,
      mayBeFixedUp: this.image.fixup(vaddr) !== undefined,
    });
    if (refused !== undefined) throw new ProbeRefused(at, refused.reason, refused.detail);
    if (this.remembered.size >= MOST_BREAKPOINTS && !this.remembered.has(at))
      throw new ProbeRefused(at, "too-many", WHY.full);
  }

  private put(at: Address): void {
    try {
      if (!this.machine.client.insert(BREAK.software, at, 1))
        throw new StubError("unsupported", `${this.machine.client.name}: the stub has no breakpoints (Z0)`);
    } catch (error) {
      if (!(error instanceof StubRefusal)) throw error;
      throw new ProbeRefused(at, "kprobe-blacklist", WHY.forbidden);
    }
    this.remembered.add(at);
  }

  private mayPut(at: Address): boolean {
    try {
      this.refuse(at);
      this.put(at);
      return true;
    } catch (error) {
      if (!(error instanceof ProbeRefused)) throw error;
      return false;
    }
  }

  private lift(at: Address): void {
    this.machine.client.remove(BREAK.software, at, 1);
  }

  private isLifted(at: Address): boolean {
    for (const executing of this.executing.values()) if (executing.at === at) return true;
    return false;
  }

  private arrive(vcpu: Vcpu, at: Address): void {
    const currentAt = this.currentAt(vcpu);
    const pointer = new Uint8Array(8);
    const isRead = currentAt !== undefined && this.machine.read(currentAt, pointer) === pointer.length;
    this.arrivals.arrive(
      {
        standing: { vcpu, vector: BREAKPOINT_VECTOR, frame: undefined },
        at,
        sp: vcpu.wanted.sp,
        current: isRead ? pointer : undefined,
      },
      () => 0,
    );
  }

  private passPulse(vcpu: Vcpu, at: Address): void {
    const bytes = new Uint8Array(MAX_INSTRUCTION_LENGTH);
    const length = this.machine.read(at, bytes);
    vcpu.wanted.pc = at;
    this.begin(undefined, vcpu, withInstruction(bytes.subarray(0, length), at, instructionFacts));
  }

  private begin(thread: ThreadId | undefined, vcpu: Vcpu, facts: InstructionFacts): void {
    const { wanted } = vcpu;
    const flags = wanted.read("eflags");
    const hadInterrupts = (flags & INTERRUPTS) !== 0n && !OF_INTERRUPTS.has(facts.mnemonic);
    if (hadInterrupts) wanted.write("eflags", flags & ~INTERRUPTS);
    const at = wanted.pc;
    if (!this.isLifted(at)) this.lift(at);
    this.executing.set(this.taskOn.get(vcpu) ?? vcpu.thread, {
      thread,
      at,
      behind: facts.flow === "next" && !facts.endsFlow ? offsetBy(at, facts.length) : undefined,
      hadInterrupts,
    });
    this.machine.step(vcpu);
  }

  /** What the step has left is put right again. */
  private settle(vcpu: Vcpu, task: StubThread, { at, hadInterrupts }: Executing): void {
    this.executing.delete(task);
    if ((this.placed.has(at) || at === this.pulse) && !this.isLifted(at)) this.put(at);
    const { actual, wanted } = vcpu;
    // KGDB takes its own trap flag back.
    const flags = wanted.read("eflags") & ~BigInt(EFLAGS.trap);
    actual.write("eflags", flags);
    wanted.write("eflags", hadInterrupts ? flags | INTERRUPTS : flags);
  }

  /**
   * Whether a processor has met a breakpoint and waits for the debugger, or has a step to tell of: with nobody to
   * answer it the kernel would stand.
   */
  private isSomebodyWaiting(): boolean {
    if (this.executing.size > 0) return true;
    if (this.machine.vcpus.length === 1) return false;
    // kernel/debug/debug_core.c: processors that are in the debugger and were not called there; ours is one.
    const at = this.image.symbol("masters_in_kgdb");
    const bytes = new Uint8Array(4);
    if (at === undefined || this.machine.read((at + this.slide) as Address, bytes) < bytes.length)
      return false;
    return new DataView(bytes.buffer).getInt32(0, true) > 1;
  }
}
