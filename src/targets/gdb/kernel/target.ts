import type { RegisterFile } from "../../../arch/x86_64/registers.js";
import type { Address } from "../../../base/address.js";
import { TargetGone } from "../../../base/errors.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import type {
  Capabilities,
  Disposition,
  ExitStatus,
  Mapping,
  Memory,
  Resume,
  SpaceId,
  Stop,
  Target,
  ThreadFacts,
  ThreadId,
} from "../../target.js";
import { GdbClient, type ClientOptions } from "../protocol/client.js";
import { StubError } from "../protocol/errors.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { Arrivals, Carrier, Standing } from "./carrier.js";
import type { Interrupt } from "./in-place.js";
import { chooseSense } from "./choose-sense.js";
import { cleanKernel } from "./clean.js";
import { Focus } from "./focus.js";
import { hpetTime } from "./hpet.js";
import { letBoot } from "./kgdb/boot.js";
import { KgdbMachine } from "./kgdb/kgdb-machine.js";
import { rewindFromLeft } from "./kgdb/left.js";
import { shadowThreads } from "./kgdb/processors.js";
import { StubBreakpoints } from "./kgdb/stub-breakpoints.js";
import { KernelMemory } from "./kernel-memory.js";
import { Machine, type Vcpu } from "./machine.js";
import { findKernel } from "./standing.js";
import { taskLayout, Tasks } from "./tasks.js";
import { TextBreakpoints } from "./text-breakpoints.js";

const SPACE = 1 as SpaceId;

export interface KernelOptions extends ClientOptions {
  /**
   * Let the stub watch memory, where it can. Without, each hit costs ten times as much, and an instruction that
   * is tried again after its fault counts as a new hit. Default: yes.
   */
  readonly watch?: boolean;
  /**
   * Have QEMU hold interrupts and timers back while a processor makes a step. Without, one that comes before the
   * stepped instruction is dealt with first, as behind a stub that cannot hold any back. Default: yes.
   */
  readonly holdInterrupts?: boolean;
  /** Told what a person should know, and what is waited for. */
  readonly onNotice?: (text: string) => void;
}

/** Makes what puts breakpoints into a kernel, once there is who is told of them. */
type MakeCarrier = (focus: Focus, currentAt: (vcpu: Vcpu) => Address | undefined, told: Arrivals) => Carrier;

/**
 * A live Linux kernel behind a stub of the GDB remote protocol. All processors stop together. How breakpoints
 * get into it is the business of a {@link Carrier}. Threads are the kernel's tasks, and each processor's interrupts.
 */
export class KernelTarget implements Target {
  readonly capabilities: Capabilities;
  /** What is added to an address of the image. */
  readonly slide: number;
  readonly space = SPACE;
  private readonly stops: Stop[] = [];
  private readonly standing = new Map<ThreadId, Standing>();
  private readonly tasks: Tasks;
  private readonly kernelMemory: KernelMemory;
  private readonly carrier: Carrier;
  private readonly idle = new Set<ThreadId>();
  /** One after the other: two processors may have come to it at once. */
  private readonly toExecute: {
    readonly thread: ThreadId;
    readonly how: Extract<Resume, { kind: "in-place" }>;
  }[] = [];
  private readonly focus: Focus;
  private ended: ExitStatus | undefined;
  private isDisposed = false;

  private constructor(
    readonly client: GdbClient,
    readonly machine: Machine,
    readonly image: KernelImage,
    slide: number,
    makeCarrier: MakeCarrier,
  ) {
    this.slide = slide;
    const focus = new Focus(machine);
    this.focus = focus;
    this.tasks = new Tasks(
      taskLayout(image, slide),
      (at, into) => focus.read(at, into),
      machine.vcpus.length,
    );
    focus.pushedBy = (vcpu) => this.standingOn(vcpu)?.frame;
    const carrier = makeCarrier(focus, (vcpu) => this.tasks.currentAt(vcpu), {
      arrive: ({ standing, at, sp, current }, cameBack) => {
        const thread = this.freeThread(this.tasks.threadOf(standing.vcpu, current, sp), standing.vcpu);
        this.standing.set(thread, standing);
        this.stops.push({ kind: "breakpoint", thread, at, returned: cameBack(thread) });
      },
      executed: (thread, vcpu) => {
        this.standing.set(thread, { vcpu, vector: undefined, frame: undefined });
        this.stops.push({ kind: "step", thread });
      },
    });
    this.carrier = carrier;
    this.kernelMemory = new KernelMemory(focus, carrier.withoutUsers);
    machine.onStop = (reply) => {
      this.interpret(reply);
    };
    this.capabilities = {
      stepsAlone: false,
      executesInPlace: true,
      ...(carrier.keepsStackPointer === true && { keepsStackPointer: true }),
      ...(carrier.hidesFaults !== undefined && { hidesFaults: carrier.hidesFaults }),
      breakpoints: {
        visible: carrier.visible,
        insert: (_space, at) => {
          carrier.insert(at);
        },
        remove: (_space, at) => carrier.remove(at),
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
    const client = GdbClient.connect(spec, options);
    try {
      const machine = standingMachine(client, options);
      const standing = findKernel(machine, image);
      const { slide, hasLeftovers } = standing;
      if (machine instanceof KgdbMachine) {
        letBoot(machine, image, slide, options.onNotice ?? ((): void => undefined));
        return new KernelTarget(
          client,
          machine,
          image,
          slide,
          (focus, currentAt, told) => new StubBreakpoints(machine, focus, image, slide, currentAt, told),
        );
      }
      if (hasLeftovers) {
        cleanKernel(client, image);
        // It may have put processors back.
        for (const vcpu of machine.vcpus) vcpu.isKnown = false;
      }
      const sense = chooseSense(client, machine, image, standing, options.watch !== false);
      return new KernelTarget(
        client,
        machine,
        image,
        slide,
        (focus, currentAt, told) => new TextBreakpoints(machine, focus, sense, currentAt, told),
      );
    } catch (error) {
      letRun(client);
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
        if (standing !== undefined) this.focus.vcpu = standing.vcpu;
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
        if (standing.isInterrupted === true) this.carrier.deliver(thread, standing, 0);
        return;
      case "in-place":
        this.toExecute.push({ thread, how });
        return;
      case "deliver":
        this.standing.delete(thread);
        this.carrier.deliver(thread, standing, how.watch ?? 0);
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
    const vcpu = this.standing.get(thread)?.vcpu ?? this.machine.vcpus[thread - 1] ?? this.focus.vcpu;
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

  /**
   * The task_struct of a thread; of what it interrupted, where the thread is a processor's interrupts. Where the
   * kernel is damaged it may be anything.
   */
  taskOf(thread: ThreadId): bigint | undefined {
    return this.tasks.currentOf(thread, this.standing.get(thread)?.vcpu ?? this.machine.vcpus[thread - 1]);
  }

  /** A register that is not among those of every thread, of the processor that a thread is on: `cr3`. */
  specialRegister(thread: ThreadId, name: string): bigint | undefined {
    this.machine.stand();
    this.machine.select(this.standing.get(thread)?.vcpu ?? this.focus.vcpu);
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
    const untold = this.stops.splice(0).flatMap(({ thread }) => this.standing.get(thread) ?? []);
    this.standing.clear();
    this.carrier.leave(untold, (reply) => {
      this.end(reply);
    });
  }

  /** What the machine's stop means; may be of no interest to anybody. */
  private interpret(reply: StopReply): void {
    if (reply.kind === "stopped") this.carrier.interpret(reply);
    else this.end(reply);
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

  /** Whatever a damaged kernel says: no task runs on two processors. */
  private freeThread(thread: ThreadId, vcpu: Vcpu): ThreadId {
    return this.standing.has(thread) ? this.tasks.contextOf(vcpu) : thread;
  }

  private standingOn(vcpu: Vcpu): Standing | undefined {
    for (const standing of this.standing.values()) if (standing.vcpu === vcpu) return standing;
    return undefined;
  }

  private execute(thread: ThreadId, how: Extract<Resume, { kind: "in-place" }>): void {
    const standing = this.standing.get(thread);
    if (standing === undefined) return;
    const { vcpu } = standing;
    const executed = this.carrier.execute(thread, vcpu, how.instruction, how.original);
    switch (executed.kind) {
      case "begun":
      case "lost":
        this.standing.delete(thread);
        return;
      case "done":
        this.standing.set(thread, interrupted(vcpu, executed.behind));
        this.stops.push({ kind: "step", thread });
        return;
      case "deferred":
        this.standing.set(thread, interrupted(vcpu, executed.by));
        this.stops.push({ kind: "deferred", thread });
        return;
      case "raised": {
        const { exception, frame } = executed;
        this.standing.set(thread, { vcpu, vector: exception.vector, frame });
        this.stops.push({ kind: "instruction-fault", thread, exception });
        return;
      }
    }
  }
}

function interrupted(vcpu: Vcpu, by: Interrupt | undefined): Standing {
  return { vcpu, vector: by?.vector, frame: by?.frame, isInterrupted: by !== undefined };
}

/** Has a stub's machine stand still, and finds out which stub it is. */
function standingMachine(client: GdbClient, options: KernelOptions): Machine {
  // QEMU takes a packet as the acknowledgement of what it said before; no other stub answers this question.
  const isQemu = client.query("qqemu.sstepbits").startsWith("ENABLE");
  if (isQemu) {
    client.leaveOutAcknowledgements();
    // Whatever somebody before us has set. 1: steps at all, 2: without interrupts, 4: without timers.
    client.set(options.holdInterrupts === false ? "Qqemu.sstep=0x1" : "Qqemu.sstep=0x7");
    // A tracer that was killed while it read the machine's clock has left this on: see hpetTime.
    client.pipeline.set("Qqemu.PhyMemMode:0", () => undefined);
    client.pipeline.flush();
  }
  const processors = isQemu ? undefined : shadowThreads(client);
  if (processors !== undefined) rewindFromLeft(client);
  client.stopReason();
  if (processors !== undefined) return new KgdbMachine(client, processors);
  return new Machine(client, undefined, isQemu ? () => hpetTime(client) : undefined);
}

/** What cannot be traced must not stand for ever because somebody tried. */
function letRun(client: GdbClient): void {
  if (client.broken !== undefined) return;
  try {
    client.detach(client.threads()[0]?.process);
  } catch (error) {
    // Told is what went wrong first; a stub that is lost by now cannot be asked for anything.
    if (!(error instanceof StubError)) throw error;
  }
}
