import type { RegisterFile } from "../../../arch/x86_64/registers.js";
import { type Address, addressFromHalves, offsetBy } from "../../../base/address.js";
import { ProbeRefused, TargetError, TargetGone } from "../../../base/errors.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import type {
  Capabilities,
  Disposition,
  ExitStatus,
  Mapping,
  Memory,
  Resume,
  ReturnToken,
  SpaceId,
  Stop,
  Target,
  ThreadFacts,
  ThreadId,
} from "../../target.js";
import { GdbClient, type ClientOptions } from "../protocol/client.js";
import type { StopReply } from "../protocol/stop-reply.js";
import { ExceptionFrame } from "./exception-frame.js";
import type { GateTable } from "./idt.js";
import { InPlace } from "./in-place.js";
import { KernelMemory } from "./kernel-memory.js";
import { Machine, type Vcpu } from "./machine.js";
import { isWritable } from "./page-tables.js";
import { OpenFaults } from "./retries.js";
import { findKernel, type Standing as FoundKernel } from "./standing.js";
import { cleanUp, type LeftBehind } from "./left-behind.js";
import { taskLayout, Tasks } from "./tasks.js";
import { chooseSense } from "./choose-sense.js";
import { BREAKPOINT_VECTOR, type TrapSense } from "./trap-sense.js";

const BREAKPOINT = 0xcc;
const SPACE = 1 as SpaceId;
const POINTER = 8;
/** When we leave: how often, and how long, a machine may run to tell what it has not told. */
const DRAIN_ROUNDS = 200;
const DRAIN_MILLISECONDS = 5;

export interface KernelOptions extends ClientOptions {
  /**
   * Let the stub watch memory, where it can. Without, each hit costs ten times as much, and an instruction that
   * is tried again after its fault counts as a new hit. Default: yes.
   */
  readonly watch?: boolean;
}

/** A thread that was told to have stopped, and where. */
interface Standing {
  readonly vcpu: Vcpu;
  /** Where the processor is to be when the kernel is to deal with the exception itself. */
  readonly vector: number | undefined;
  readonly frame: ExceptionFrame | undefined;
}

/**
 * A live Linux kernel behind a stub of the GDB remote protocol. All processors stop together. Breakpoints
 * are `int3` that we write into its text; a hit is noticed where the kernel begins to deal with it (see
 * {@link TrapSense}), and any `int3` that is not ours (the kernel's own kprobes, programs') goes on from there
 * as though nobody had looked. Threads are the kernel's tasks, and each processor's interrupts.
 */
export class KernelTarget implements Target {
  readonly capabilities: Capabilities;
  /** What is added to an address of the image. */
  readonly slide: number;
  readonly space = SPACE;
  private readonly stops: Stop[] = [];
  private readonly standing = new Map<ThreadId, Standing>();
  /** Breakpoints of ours, and the bytes under them. */
  private readonly covered = new Map<Address, number>();
  private readonly tasks: Tasks;
  private readonly kernelMemory: KernelMemory;
  private readonly open: OpenFaults;
  private readonly inPlace: InPlace;
  private readonly idle = new Set<ThreadId>();
  /** One after the other: two processors may have come to it at once. */
  private readonly toExecute: {
    readonly thread: ThreadId;
    readonly how: Extract<Resume, { kind: "in-place" }>;
  }[] = [];
  /** Whose page tables memory is read with. */
  private focus: Vcpu;
  private ended: ExitStatus | undefined;
  private isDisposed = false;

  private constructor(
    readonly client: GdbClient,
    readonly machine: Machine,
    readonly image: KernelImage,
    standing: { readonly slide: number; readonly gates: GateTable },
    private readonly sense: TrapSense,
  ) {
    const { slide, gates } = standing;
    this.slide = slide;
    this.focus = machine.vcpuOf(undefined);
    const read = (at: Address, into: Uint8Array): number => this.readMemory(at, into);
    this.tasks = new Tasks(taskLayout(image, slide), read, machine.vcpus.length);
    this.open = new OpenFaults(client, read);
    this.kernelMemory = new KernelMemory({
      read,
      write: (at, bytes) => this.writeMemory(at, bytes),
      isWritable: (at) => this.isWritable(at),
      writeLater: (at, bytes) => this.writeLater(at, bytes),
    });
    const vectors = new Map<Address, number>();
    for (let vector = 0; vector < 32; vector++)
      if (gates.isPresent(vector)) vectors.set(gates.entry(vector), vector);
    this.inPlace = new InPlace(machine, sense, { originalAt: (at) => this.covered.get(at) }, (pc) =>
      vectors.get(pc),
    );
    machine.onStop = (reply) => {
      this.interpret(reply);
    };
    this.capabilities = {
      stepsAlone: false,
      executesInPlace: true,
      breakpoints: {
        visible: true,
        insert: (_space, at) => {
          this.insert(at);
        },
        remove: (_space, at) => this.remove(at),
      },
      clock: () => machine.clock(),
    };
  }

  /**
   * Connects to a stub. The machine stands still from here on, until threads are waited for. One that is still
   * booting is let boot until its kernel's text is as it stays.
   *
   * @param spec see parseStubAddress
   * @throws TargetError nobody is there, no kernel of x86-64 runs there, or not that of the image
   */
  static connect(spec: string, image: KernelImage, options: KernelOptions = {}): KernelTarget {
    return KernelTarget.attach(spec, image, options, (client, machine, standing) => {
      if (standing.left.length > 0) cleanUp(machine, image, standing.slide, standing.gates, standing.left);
      return new KernelTarget(
        client,
        machine,
        image,
        standing,
        chooseSense(client, machine, image, standing, options.watch !== false),
      );
    });
  }

  /**
   * Takes out of a kernel what a tracer that was killed has left in it, and lets the machine run. Must not be
   * done while another traces it.
   *
   * @throws TargetError as {@link connect}
   */
  static clean(spec: string, image: KernelImage, options: KernelOptions = {}): LeftBehind {
    return KernelTarget.attach(spec, image, options, (client, machine, { slide, gates, left }) => {
      const found = cleanUp(machine, image, slide, gates, left);
      for (const vcpu of machine.vcpus) if (vcpu.isKnown) machine.writeBack(vcpu);
      client.pipeline.flush();
      client.detach(machine.vcpus[0]?.thread.process);
      client[Symbol.dispose]();
      return found;
    });
  }

  private static attach<Result>(
    spec: string,
    image: KernelImage,
    options: KernelOptions,
    use: (client: GdbClient, machine: Machine, standing: FoundKernel) => Result,
  ): Result {
    const client = GdbClient.connect(spec, options);
    try {
      // QEMU takes a packet as the acknowledgement of what it said before; no other stub answers this question.
      if (client.query("qqemu.sstepbits").startsWith("ENABLE")) {
        client.leaveOutAcknowledgements();
        // Interrupts and timers wait for a step's end, whatever somebody before us has set.
        client.set("Qqemu.sstep=0x7");
      }
      client.stopReason();
      const machine = new Machine(client);
      return use(client, machine, findKernel(machine, image));
    } catch (error) {
      client[Symbol.dispose]();
      throw error;
    }
  }

  threads(): Iterable<ThreadId> {
    return this.ended === undefined ? this.tasks.all() : [];
  }

  spaceOf(): SpaceId {
    return SPACE;
  }

  threadsOf(): Iterable<ThreadId> {
    return this.threads();
  }

  isStopped(): boolean {
    return !this.machine.isRunning;
  }

  isRunnable(): boolean {
    return true;
  }

  wait(until: number): Stop | undefined {
    for (;;) {
      const stop = this.stops.shift();
      if (stop !== undefined) {
        const standing = this.standing.get(stop.thread);
        if (standing !== undefined) this.focus = standing.vcpu;
        return stop;
      }
      if (this.ended !== undefined) return undefined;
      const next = this.toExecute.shift();
      if (next !== undefined) {
        this.execute(next.thread, next.how);
        continue;
      }
      if (!this.machine.isRunning) {
        // Somebody who was told of a stop has not answered yet: the machine cannot go on without that thread.
        if (this.standing.size > 0) return undefined;
        this.machine.go();
      }
      const reply = this.machine.wait(until);
      if (reply === undefined) return undefined;
      this.interpret(reply);
    }
  }

  resume(thread: ThreadId, how: Resume): void {
    const standing = this.standing.get(thread);
    if (standing === undefined) {
      // A context that was only asked to stop.
      if (this.idle.delete(thread)) return;
      if (this.ended !== undefined) throw new TargetGone("the machine is gone");
      throw new Error(`thread ${String(thread)} is not stopped`);
    }
    switch (how.kind) {
      case "continue":
        this.standing.delete(thread);
        return;
      case "in-place":
        this.toExecute.push({ thread, how });
        return;
      case "deliver":
        this.deliver(thread, standing, how.watch ?? 0);
        return;
      case "step":
        throw new RangeError("a kernel's instructions execute in their place");
    }
  }

  interrupt(thread: ThreadId): void {
    this.machine.stand();
    if (this.standing.has(thread)) return;
    this.idle.add(thread);
    this.stops.push({ kind: "interrupted", thread });
  }

  registers(thread: ThreadId): RegisterFile {
    const vcpu = this.standing.get(thread)?.vcpu ?? this.machine.vcpus[thread - 1] ?? this.focus;
    if (!vcpu.isKnown) {
      this.machine.stand();
      this.machine.fetch(vcpu);
    }
    return vcpu.wanted;
  }

  memory(): Memory {
    return this.kernelMemory;
  }

  mappings(): readonly Mapping[] {
    return [];
  }

  facts(thread: ThreadId): ThreadFacts {
    return this.tasks.facts(thread, this.standing.get(thread)?.vcpu ?? this.machine.vcpus[thread - 1]);
  }

  /** The task_struct of a thread; of what it interrupted, where the thread is a processor's interrupts. */
  taskOf(thread: ThreadId): Address | undefined {
    return this.tasks.addressOf(thread, this.standing.get(thread)?.vcpu ?? this.machine.vcpus[thread - 1]);
  }

  /** A register that is not among those of every thread, of the processor that a thread is on: `cr3`. */
  specialRegister(thread: ThreadId, name: string): bigint | undefined {
    this.machine.stand();
    this.machine.select(this.standing.get(thread)?.vcpu ?? this.focus);
    return this.client.readRegister(name);
  }

  disposition(): Disposition {
    return "handled";
  }

  traceSystemCalls(): void {
    throw new RangeError("system calls of a kernel are probed where it begins to deal with them");
  }

  /** Takes everything out and lets the machine run. */
  // eslint-disable-next-line @typescript-eslint/require-await -- the interface is for targets that must wait
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isDisposed) return;
    this.isDisposed = true;
    try {
      if (this.ended === undefined && this.client.broken === undefined) this.leave();
    } finally {
      this.client[Symbol.dispose]();
    }
  }

  private leave(): void {
    this.machine.stand();
    for (const at of [...this.covered.keys()]) this.remove(at);
    // Whoever was stopped at one of our breakpoints executes what is there instead.
    for (const { thread } of this.stops.splice(0)) {
      const standing = this.standing.get(thread);
      if (standing?.frame === undefined) continue;
      if (standing.vector === BREAKPOINT_VECTOR) standing.vcpu.wanted.pc = offsetBy(standing.frame.pc, -1);
    }
    for (const vcpu of this.machine.vcpus) {
      if (!vcpu.isKnown) this.machine.fetch(vcpu);
      this.machine.writeBack(vcpu);
    }
    this.client.pipeline.flush();
    this.drain();
    if (this.isEnded()) return;
    for (const vcpu of this.machine.vcpus) if (vcpu.isKnown) this.machine.writeBack(vcpu);
    this.open.remove();
    this.sense.remove();
    this.client.detach(this.machine.vcpus[0]?.thread.process);
  }

  /** Lets stops come that processors have met already and were not told: nobody is there to go on from them later. */
  private drain(): void {
    const { machine } = this;
    this.standing.clear();
    for (let round = 0; round < DRAIN_ROUNDS; round++) {
      machine.go();
      const reply = machine.wait(performance.now() + DRAIN_MILLISECONDS);
      if (reply === undefined) {
        const last = machine.halt();
        if (last?.kind === "stopped") this.interpret(last);
        if (last?.kind !== "stopped" || last.reason === undefined) return;
      } else this.interpret(reply);
      this.stops.length = 0;
      if (this.isEnded()) return;
    }
  }

  private isEnded(): boolean {
    return this.ended !== undefined;
  }

  /** What the machine's stop means; may be of no interest to anybody. */
  private interpret(reply: StopReply): void {
    if (reply.kind !== "stopped") {
      this.end(reply);
      return;
    }
    const { machine, sense } = this;
    const vcpu = machine.vcpuOf(reply.thread);
    const others: Vcpu[] = [];
    machine.fetch(vcpu, (other, pc) => {
      const view = new DataView(pc.buffer);
      const at = addressFromHalves(view.getUint32(0, true), view.getUint32(4, true));
      if (sense.vectorAt(at) !== undefined || this.open.expects(at)) others.push(other);
    });
    this.focus = vcpu;
    if (!this.arrive(vcpu)) this.open.passes(vcpu);
    const { reason } = reply;
    if (reason?.kind === "rwatch" || reason?.kind === "awatch") this.open.seen(reason.address);
    for (const other of others) {
      machine.fetch(other);
      if (!this.arrive(other)) this.open.passes(other);
    }
  }

  private end(reply: Exclude<StopReply, { kind: "stopped" }>): void {
    const status: ExitStatus =
      reply.kind === "killed"
        ? {
            kind: "killed",
            signal: `signal ${String(reply.signal)}`,
            number: reply.signal,
            coreDumped: false,
          }
        : { kind: "exited", status: reply.kind === "exited" ? reply.status : 0 };
    const all = [...this.tasks.all()];
    this.ended = status;
    this.stops.length = 0;
    this.standing.clear();
    all.forEach((thread, index) => {
      this.stops.push({
        kind: "thread-gone",
        thread,
        space: SPACE,
        processExit: index === all.length - 1 ? status : undefined,
      });
    });
  }

  /** Does a processor stand where an exception begins? Then that is dealt with, or told. */
  private arrive(vcpu: Vcpu): boolean {
    const { sense, tasks } = this;
    const vector = sense.vectorAt(vcpu.actual.pc);
    if (vector === undefined) return false;
    if (vector !== BREAKPOINT_VECTOR) {
      sense.passOn(vcpu, vector);
      return true;
    }
    const frame = new ExceptionFrame(vcpu.actual.sp, vector);
    const currentAt = tasks.currentAt(vcpu);
    const pointer = new Uint8Array(POINTER);
    const current = { isRead: false };
    this.machine.select(vcpu);
    const { pipeline } = this.client;
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
    const thread = this.freeThread(
      tasks.threadOf(vcpu, current.isRead ? pointer : undefined, frame.stack),
      vcpu,
    );
    this.standing.set(thread, { vcpu, vector, frame });
    const returned = this.open.arrives(thread, at, frame.stack);
    this.stops.push({ kind: "breakpoint", thread, at, returned });
    return true;
  }

  /** Whatever a damaged kernel says: no task runs on two processors. */
  private freeThread(thread: ThreadId, vcpu: Vcpu): ThreadId {
    return this.standing.has(thread) ? this.tasks.contextOf(vcpu) : thread;
  }

  /** Is there a breakpoint instruction that is not ours, now? */
  private isForeign(at: Address): boolean {
    const bytes = new Uint8Array(2);
    if (this.readMemory(offsetBy(at, -1), bytes) < 2) return true;
    return bytes[1] === BREAKPOINT || (bytes[0] === 0xcd && bytes[1] === BREAKPOINT_VECTOR);
  }

  private execute(thread: ThreadId, how: Extract<Resume, { kind: "in-place" }>): void {
    const standing = this.standing.get(thread);
    if (standing === undefined) return;
    const { vcpu } = standing;
    this.machine.select(vcpu);
    this.focus = vcpu;
    const executed = this.inPlace.execute(vcpu, how.instruction, how.original);
    switch (executed.kind) {
      case "done":
        this.standing.set(thread, { vcpu, vector: undefined, frame: undefined });
        this.stops.push({ kind: "step", thread });
        return;
      case "raised": {
        const { exception, frame } = executed;
        this.standing.set(thread, { vcpu, vector: exception.vector, frame });
        this.stops.push({ kind: "instruction-fault", thread, exception });
        return;
      }
      case "lost":
        this.standing.delete(thread);
        return;
    }
  }

  /** The kernel deals with the exception, with the registers that it had, and what a handler changed of them. */
  private deliver(thread: ThreadId, { vcpu, vector, frame }: Standing, watch: ReturnToken): void {
    this.standing.delete(thread);
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

  private insert(at: Address): void {
    const byte = new Uint8Array(1);
    if (this.readMemory(at, byte) < 1) throw new ProbeRefused(at, "unmapped", "no memory is mapped there");
    if (byte[0] === BREAKPOINT)
      throw new ProbeRefused(at, "foreign-breakpoint", "a breakpoint of the kernel's own is already there");
    if (!this.writeMemory(at, Uint8Array.of(BREAKPOINT)))
      throw new ProbeRefused(at, "unmapped", "the stub does not write there");
    this.covered.set(at, byte[0] ?? 0);
  }

  private remove(at: Address): boolean {
    const original = this.covered.get(at);
    if (original === undefined) return true;
    this.covered.delete(at);
    const byte = new Uint8Array(1);
    if (this.readMemory(at, byte) < 1) return true;
    if (byte[0] !== BREAKPOINT) return false;
    return this.writeMemory(at, Uint8Array.of(original));
  }

  private readMemory(at: Address, into: Uint8Array): number {
    this.machine.stand();
    this.machine.select(this.focus);
    return this.machine.read(at, into);
  }

  private writeMemory(at: Address, bytes: Uint8Array): boolean {
    this.machine.stand();
    this.machine.select(this.focus);
    return this.machine.write(at, bytes);
  }

  /** Where the processor has just pushed a frame a push can write, too: nobody need wait for it. */
  private writeLater(at: Address, bytes: Uint8Array): boolean {
    for (const { vcpu, frame } of this.standing.values()) {
      if (frame === undefined || vcpu !== this.focus) continue;
      if (at < frame.sp || at + bytes.length > frame.stack) continue;
      this.machine.select(vcpu);
      this.client.pipeline.write(at, bytes, (done) => {
        if (!done)
          throw new TargetError(`${this.client.name}: the stack cannot be written where it could just now`);
      });
      return true;
    }
    return false;
  }

  private isWritable(at: Address): boolean | undefined {
    const { client, machine } = this;
    machine.stand();
    machine.select(this.focus);
    const cr3 = client.readRegister("cr3");
    const cr4 = client.readRegister("cr4");
    if (cr3 === undefined || cr4 === undefined || !client.set("Qqemu.PhyMemMode:1")) return undefined;
    try {
      return isWritable(
        at,
        { cr3, cr4 },
        (physical, into) => machine.read(physical as Address, into) === into.length,
      );
    } finally {
      client.set("Qqemu.PhyMemMode:0");
    }
  }
}
