import type { InstructionFacts } from "../../../arch/x86_64/instruction-facts.js";
import { EFLAGS } from "../../../arch/x86_64/registers.js";
import { type Address, addressFromHalves, offsetBy } from "../../../base/address.js";
import { ProbeRefused } from "../../../base/errors.js";
import type { ReturnToken, ThreadId } from "../../target.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { Arrivals, Carrier, Standing, Stopped } from "./carrier.js";
import { Deferred } from "./deferred.js";
import { ExceptionFrame } from "./exception-frame.js";
import type { Focus } from "./focus.js";
import { type Executed, InPlace } from "./in-place.js";
import type { Machine, Vcpu } from "./machine.js";
import { OpenFaults } from "./retries.js";
import { BREAKPOINT_VECTOR, type TrapSense } from "./trap-sense.js";

const BREAKPOINT = 0xcc;
const POINTER = 8;
const RESUME = BigInt(EFLAGS.resume);
/** When we leave: how often, and how long, a machine may run to tell what it has not told. */
const DRAIN_ROUNDS = 200;
const DRAIN_MILLISECONDS = 5;

/**
 * Breakpoints are `int3` that we write into the kernel's text, behind a stub that is not part of the kernel. A
 * hit is noticed where the kernel begins to deal with it (see {@link TrapSense}), and any `int3` that is not ours
 * (the kernel's own kprobes, programs') goes on from there as though nobody had looked.
 */
export class TextBreakpoints implements Carrier {
  readonly visible = true;
  /** Breakpoints of ours, and the bytes under them. */
  private readonly covered = new Map<Address, number>();
  private readonly open: OpenFaults;
  private readonly deferred = new Deferred();
  private readonly inPlace: InPlace;

  constructor(
    private readonly machine: Machine,
    private readonly focus: Focus,
    private readonly sense: TrapSense,
    /** Where the pointer to a processor's current task lies. */
    private readonly currentAt: (vcpu: Vcpu) => Address | undefined,
    private readonly arrivals: Arrivals,
  ) {
    this.open = new OpenFaults(machine.client, (at, into) => focus.read(at, into));
    this.inPlace = new InPlace(machine, sense, { originalAt: (at) => this.covered.get(at) });
  }

  insert(at: Address): void {
    const byte = new Uint8Array(1);
    if (this.focus.read(at, byte) < 1) throw new ProbeRefused(at, "unmapped", "no memory is mapped there");
    if (byte[0] === BREAKPOINT)
      throw new ProbeRefused(at, "foreign-breakpoint", "a breakpoint of the kernel's own is already there");
    if (!this.focus.write(at, Uint8Array.of(BREAKPOINT)))
      throw new ProbeRefused(at, "unmapped", "the stub does not write there");
    this.covered.set(at, byte[0] ?? 0);
  }

  remove(at: Address): boolean {
    const original = this.covered.get(at);
    if (original === undefined) return true;
    this.covered.delete(at);
    this.deferred.forget(at);
    const byte = new Uint8Array(1);
    if (this.focus.read(at, byte) < 1) return true;
    if (byte[0] !== BREAKPOINT) return false;
    return this.focus.write(at, Uint8Array.of(original));
  }

  interpret(stop: Stopped): void {
    const { machine, sense } = this;
    const vcpu = machine.vcpuOf(stop.thread);
    const others: Vcpu[] = [];
    machine.fetch(vcpu, (other, pc) => {
      const view = new DataView(pc.buffer);
      const at = addressFromHalves(view.getUint32(0, true), view.getUint32(4, true));
      if (sense.vectorAt(at) !== undefined || this.open.expects(at)) others.push(other);
    });
    this.focus.vcpu = vcpu;
    if (!this.arrive(vcpu)) this.open.passes(vcpu);
    const { reason } = stop;
    if (reason?.kind === "rwatch" || reason?.kind === "awatch") this.open.seen(reason.address);
    for (const other of others) {
      machine.fetch(other);
      if (!this.arrive(other)) this.open.passes(other);
    }
  }

  execute(_thread: ThreadId, vcpu: Vcpu, instruction: InstructionFacts, original: number): Executed {
    this.machine.select(vcpu);
    this.focus.vcpu = vcpu;
    return this.inPlace.execute(vcpu, instruction, original);
  }

  deliver(thread: ThreadId, standing: Standing, watch: ReturnToken): void {
    const { vector, frame, isInterrupted } = standing;
    if (vector === undefined || frame === undefined) return;
    this.enter(standing.vcpu, vector, frame, isInterrupted === true);
    if (watch === 0) return;
    const what = { token: watch, thread, at: frame.pc, sp: frame.stack };
    if (isInterrupted === true) this.deferred.begin(what);
    else if (this.sense.watches) this.open.begin(frame.pcAt, what);
  }

  leave(untold: readonly Standing[], ended: (reply: Exclude<StopReply, Stopped>) => void): void {
    const { machine } = this;
    for (const at of [...this.covered.keys()]) this.remove(at);
    for (const { vcpu, vector, frame } of untold)
      if (frame !== undefined && vector === BREAKPOINT_VECTOR) vcpu.wanted.pc = offsetBy(frame.pc, -1);
    for (const vcpu of machine.vcpus) {
      if (!vcpu.isKnown) machine.fetch(vcpu);
      machine.writeBack(vcpu);
    }
    machine.client.pipeline.flush();
    const last = this.drain();
    if (last !== undefined) {
      ended(last);
      return;
    }
    for (const vcpu of machine.vcpus) if (vcpu.isKnown) machine.writeBack(vcpu);
    this.open.remove();
    this.sense.remove();
    machine.client.detach(machine.vcpus[0]?.thread.process);
  }

  /**
   * Lets stops come that processors have met already and were not told: nobody is there to go on from them later.
   *
   * @returns the machine's end, where it ended
   */
  private drain(): Exclude<StopReply, Stopped> | undefined {
    const { machine } = this;
    for (let round = 0; round < DRAIN_ROUNDS; round++) {
      machine.go();
      const reply = machine.wait(performance.now() + DRAIN_MILLISECONDS);
      const stop = reply ?? machine.halt();
      if (stop === undefined) return undefined;
      if (stop.kind !== "stopped") return stop;
      this.interpret(stop);
      if (reply === undefined && stop.reason === undefined) return undefined;
    }
    return undefined;
  }

  /** The processor goes on where the kernel deals with an exception or interrupt, with what was changed of its registers. */
  private enter(vcpu: Vcpu, vector: number, frame: ExceptionFrame, isInterrupted: boolean): void {
    const { wanted, actual } = vcpu;
    const values = wanted.values.slice();
    const { pc: changedPc, sp: changedSp } = wanted;
    // Of an interrupt there may be no door: it stands where it is to go on.
    if (this.sense.vectorAt(actual.pc) === undefined) vcpu.reset();
    else this.sense.passOn(vcpu, vector);
    const { pc } = wanted;
    const flags = wanted.read("eflags");
    wanted.values.set(values);
    wanted.pc = pc;
    wanted.sp = actual.sp;
    wanted.write("eflags", flags);
    if (!isInterrupted) return;
    // Where the instruction is done already, what handlers made of these is what the interrupt returns to.
    if (changedPc !== frame.pc) this.pushed(frame.pcAt, changedPc);
    if (changedSp !== frame.stack) this.pushed(frame.stackAt, changedSp);
  }

  private pushed(at: Address, value: Address): void {
    const bytes = new Uint8Array(POINTER);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
    this.machine.client.pipeline.write(at, bytes, () => undefined);
  }

  /** Does a processor stand where an exception begins? Then that is dealt with, or told. */
  private arrive(vcpu: Vcpu): boolean {
    const { sense } = this;
    const vector = sense.vectorAt(vcpu.actual.pc);
    if (vector === undefined) return false;
    if (vector !== BREAKPOINT_VECTOR) {
      sense.passOn(vcpu, vector);
      return true;
    }
    const frame = new ExceptionFrame(vcpu.actual.sp, vector);
    const currentAt = this.currentAt(vcpu);
    const pointer = new Uint8Array(POINTER);
    const current = { isRead: false };
    this.machine.select(vcpu);
    const { pipeline } = this.machine.client;
    pipeline.read(frame.sp, frame.bytes, () => undefined);
    if (currentAt !== undefined)
      pipeline.read(currentAt, pointer, (whole) => {
        current.isRead = whole;
      });
    pipeline.flush();
    const at = offsetBy(frame.pc, -1);
    if (frame.fromUser || (!this.covered.has(at) && this.isForeign(at))) {
      sense.passOn(vcpu, vector);
      return true;
    }
    const { wanted } = vcpu;
    vcpu.reset();
    wanted.sp = frame.stack;
    wanted.write("eflags", frame.flags & ~RESUME);
    if (!this.covered.has(at)) {
      // Taken out between the trap and now: what is there is executed.
      wanted.pc = at;
      return true;
    }
    wanted.pc = frame.pc;
    this.arrivals.arrive(
      {
        standing: { vcpu, vector, frame },
        at,
        sp: frame.stack,
        current: current.isRead ? pointer : undefined,
      },
      (thread) => {
        const retried = this.open.arrives(thread, at, frame.stack);
        const deferred = this.deferred.arrives(thread, at, frame.stack);
        return deferred === 0 ? retried : deferred;
      },
    );
    return true;
  }

  /** Is there a breakpoint instruction that is not ours, now? */
  private isForeign(at: Address): boolean {
    const bytes = new Uint8Array(2);
    if (this.focus.read(offsetBy(at, -1), bytes) < 2) return true;
    return bytes[1] === BREAKPOINT || (bytes[0] === 0xcd && bytes[1] === BREAKPOINT_VECTOR);
  }
}
