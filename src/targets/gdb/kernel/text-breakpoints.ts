import type { InstructionFacts } from "../../../arch/x86_64/instruction-facts.js";
import { type Address, addressFromHalves, offsetBy } from "../../../base/address.js";
import { ProbeRefused } from "../../../base/errors.js";
import type { ReturnToken, ThreadId } from "../../target.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { Arrivals, Carrier, Standing, Stopped } from "./carrier.js";
import { ExceptionFrame } from "./exception-frame.js";
import type { Focus } from "./focus.js";
import { EXCEPTION_VECTORS, type GateTable } from "./idt.js";
import { type Executed, InPlace } from "./in-place.js";
import type { Machine, Vcpu } from "./machine.js";
import { OpenFaults } from "./retries.js";
import { BREAKPOINT_VECTOR, type TrapSense } from "./trap-sense.js";

const BREAKPOINT = 0xcc;
const POINTER = 8;
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
  private readonly inPlace: InPlace;

  constructor(
    private readonly machine: Machine,
    private readonly focus: Focus,
    private readonly sense: TrapSense,
    gates: GateTable,
    /** Where the pointer to a processor's current task lies. */
    private readonly currentAt: (vcpu: Vcpu) => Address | undefined,
    private readonly arrivals: Arrivals,
  ) {
    this.open = new OpenFaults(machine.client, (at, into) => focus.read(at, into));
    const vectors = new Map<Address, number>();
    for (let vector = 0; vector < EXCEPTION_VECTORS; vector++)
      if (gates.isPresent(vector)) vectors.set(gates.entry(vector), vector);
    this.inPlace = new InPlace(machine, sense, { originalAt: (at) => this.covered.get(at) }, (pc) =>
      vectors.get(pc),
    );
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

  execute(vcpu: Vcpu, instruction: InstructionFacts, original: number): Executed {
    this.machine.select(vcpu);
    this.focus.vcpu = vcpu;
    return this.inPlace.execute(vcpu, instruction, original);
  }

  deliver(thread: ThreadId, { vcpu, vector, frame }: Standing, watch: ReturnToken): void {
    if (vector === undefined || frame === undefined) return;
    const { wanted, actual } = vcpu;
    const values = wanted.values.slice();
    this.sense.passOn(vcpu, vector);
    const { pc } = wanted;
    wanted.values.set(values);
    wanted.pc = pc;
    wanted.sp = actual.sp;
    wanted.write("eflags", actual.read("eflags"));
    if (watch !== 0 && this.sense.watches)
      this.open.begin(frame.pcAt, { token: watch, thread, at: frame.pc, sp: frame.stack });
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
    wanted.write("eflags", frame.flags);
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
      (thread) => this.open.arrives(thread, at, frame.stack),
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
