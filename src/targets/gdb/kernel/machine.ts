import { type RegisterName, RegisterFile } from "../../../arch/x86_64/registers.js";
import type { Address } from "../../../base/address.js";
import { StubError } from "../protocol/errors.js";
import type { GdbClient } from "../protocol/client.js";
import type { LaidOutRegister } from "../protocol/register-layout.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { StubThread } from "../protocol/thread-ids.js";
import { type Counter, RunClock } from "./run-clock.js";

/** How long a running machine may take to stop when it is asked to; milliseconds. */
const STOP_WITHIN = 10_000;

/** What is written back where it differs. */
// prettier-ignore
const WRITTEN: readonly RegisterName[] = [
  "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "eflags",
];

/** A processor of the machine. */
export class Vcpu {
  /** As the processor stands. */
  readonly actual = new RegisterFile();
  /** As it is to go on; written to it where it differs. */
  readonly wanted = new RegisterFile();
  /** Whether these were read since it ran last. */
  isKnown = false;

  constructor(
    /** From 0 on. */
    readonly index: number,
    readonly thread: StubThread,
  ) {}

  /** It is to go on as it stands. */
  reset(): void {
    this.wanted.bytes.set(this.actual.bytes);
    this.wanted.dirty = false;
  }
}

/**
 * All processors of a machine behind a stub: they stand still or run together. Whoever asks anything of a
 * running one stops it; {@link go} sets it going again.
 */
export class Machine {
  readonly vcpus: readonly Vcpu[];
  /** A stop that came when the machine was made to stand still for a question. */
  onStop: (reply: StopReply) => void = () => undefined;
  private readonly byThread = new Map<StubThread, Vcpu>();
  private readonly written: readonly { readonly name: RegisterName; readonly place: LaidOutRegister }[];
  private readonly pc: LaidOutRegister | undefined;
  private readonly ran: RunClock;

  /**
   * @param threads what the stub calls the processors, in their order
   * @param counter what the machine itself counts, while it stands; see {@link RunClock}
   */
  constructor(
    readonly client: GdbClient,
    threads: readonly StubThread[] = client.threads(),
    counter: Counter = () => undefined,
  ) {
    this.vcpus = threads.map((thread, index) => new Vcpu(index, thread));
    for (const vcpu of this.vcpus) this.byThread.set(vcpu.thread, vcpu);
    const { layout } = client;
    this.pc = layout.find("rip");
    this.written = WRITTEN.flatMap((name) => {
      const place = layout.find(name);
      return place === undefined ? [] : [{ name, place }];
    });
    this.ran = new RunClock(counter);
  }

  get isRunning(): boolean {
    return this.client.isRunning;
  }

  /** Nanoseconds: the host's monotonic clock, which stands while the machine does. */
  clock(): bigint {
    return this.ran.read(this.isRunning);
  }

  vcpuOf(thread: StubThread | undefined): Vcpu {
    const vcpu = thread === undefined ? undefined : this.byThread.get(thread);
    const found = vcpu ?? this.vcpus[0];
    if (found === undefined)
      throw new StubError("nonsense", `${this.client.name}: the stub knows no processor`);
    return found;
  }

  /** Asks for a processor's registers, with the next flush of the pipeline. */
  askRegisters(vcpu: Vcpu): void {
    const { pipeline } = this.client;
    if (this.vcpus.length > 1) pipeline.select(vcpu.thread);
    pipeline.registers(vcpu.actual);
    vcpu.isKnown = true;
  }

  /** Reads a processor's registers, and the program counters of all others. */
  fetch(vcpu: Vcpu, told?: (other: Vcpu, pc: Uint8Array) => void): void {
    const { pipeline } = this.client;
    const { pc } = this;
    if (told !== undefined && pc !== undefined)
      for (const other of this.vcpus) {
        if (other === vcpu) continue;
        pipeline.select(other.thread);
        pipeline.register(pc, (bytes) => {
          if (bytes !== undefined) told(other, bytes);
        });
      }
    this.askRegisters(vcpu);
    pipeline.flush();
    vcpu.reset();
  }

  /** Makes questions be about a processor: its page tables. */
  select(vcpu: Vcpu): void {
    if (this.vcpus.length > 1) this.client.select(vcpu.thread);
  }

  /** @returns bytes read, up to the first that cannot be read */
  read(at: Address, into: Uint8Array): number {
    this.stand();
    this.client.pipeline.flush();
    return this.client.readMemory(at, into);
  }

  /** @returns whether all was written */
  write(at: Address, bytes: Uint8Array): boolean {
    this.stand();
    this.client.pipeline.flush();
    return this.client.writeMemory(at, bytes) === bytes.length;
  }

  /** Sets all going, or one alone, as they are wanted to. */
  go(only?: Vcpu): void {
    for (const vcpu of this.vcpus) {
      if (!vcpu.isKnown || (only !== undefined && vcpu !== only)) continue;
      this.writeBack(vcpu);
      vcpu.isKnown = false;
    }
    this.ran.starts();
    this.setGoing(only);
  }

  /** One processor executes one instruction. */
  step(vcpu: Vcpu): void {
    this.writeBack(vcpu);
    vcpu.isKnown = false;
    this.client.pipeline.flush();
    this.ran.starts();
    this.client.resume([{ thread: vcpu.thread, how: "step" }]);
  }

  /** @returns undefined at the deadline: then it runs on */
  wait(until: number): StopReply | undefined {
    const reply = this.client.waitStop(until);
    if (reply !== undefined) this.ran.stopped();
    return reply;
  }

  /** Makes it stand still. A stop that came by itself meanwhile is told. */
  stand(): void {
    const reply = this.halt();
    if (reply !== undefined) this.onStop(reply);
  }

  /** As {@link stand}. @returns how it stopped; undefined where it stood already */
  halt(): StopReply | undefined {
    if (!this.isRunning) return undefined;
    this.client.interrupt();
    const reply = this.wait(performance.now() + STOP_WITHIN);
    if (reply === undefined)
      throw new StubError("silent", `${this.client.name}: the machine does not stop`, {
        remedy: "Look whether it still runs; connect again when it does.",
      });
    return reply;
  }

  protected setGoing(only: Vcpu | undefined): void {
    this.client.continueBehindPipeline(this.vcpus.length > 1 ? only?.thread : undefined);
  }

  /** Writes what is wanted of a processor, with the next flush of the pipeline. */
  writeBack(vcpu: Vcpu): void {
    const { pipeline } = this.client;
    const { actual, wanted } = vcpu;
    let selected = this.vcpus.length === 1;
    for (const { name, place } of this.written) {
      const value = wanted.read(name);
      if (value === actual.read(name)) continue;
      if (!selected) {
        pipeline.select(vcpu.thread);
        selected = true;
      }
      pipeline.writeRegister(place, bytesOf(value));
    }
    actual.bytes.set(wanted.bytes);
  }
}

const word = new Uint8Array(8);
const view = new DataView(word.buffer);

function bytesOf(value: bigint): Uint8Array {
  view.setBigUint64(0, value, true);
  return word;
}
