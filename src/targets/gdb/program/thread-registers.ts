import { type Address, addressFromHalves, offsetBy } from "../../../base/address.js";
import { TargetGone } from "../../../base/errors.js";
import type { GdbClient } from "../protocol/client.js";
import { StubRefusal } from "../protocol/errors.js";
import type { StopReply } from "../protocol/stop-reply.js";
import type { ProgramThread } from "./threads.js";

type Stopped = Extract<StopReply, { kind: "stopped" }>;

/** Registers of stopped threads: asked for once a stop at most, written where they have changed. */
export class ThreadRegisters {
  constructor(private readonly client: GdbClient) {}

  fetch(thread: ProgramThread): void {
    if (thread.fetched) return;
    this.select(thread);
    this.client.readRegisters(thread.registers);
    if (thread.atBreakpoint) thread.registers.pc = offsetBy(thread.registers.pc, 1);
    thread.registers.dirty = false;
    thread.fetched = true;
  }

  /** Makes the stub's registers be what they are to be when the thread goes on. */
  flush(thread: ProgramThread): void {
    // Behind its own int3, where nobody has put it elsewhere.
    if (thread.atBreakpoint) this.fetch(thread);
    if (!thread.fetched || !(thread.registers.dirty || thread.atBreakpoint)) return;
    this.select(thread);
    this.client.writeRegisters(thread.registers);
  }

  /** Makes the stub's answers be about a thread. @throws TargetGone it has ended */
  select(thread: ProgramThread): void {
    try {
      this.client.select(thread.stub);
    } catch (error) {
      if (error instanceof StubRefusal) throw new TargetGone(`thread ${thread.id} is gone`, { cause: error });
      throw error;
    }
  }

  /** Where a thread stopped, without a question where the stub has told it. */
  programCounter(thread: ProgramThread, reply: Stopped): Address {
    return this.expedited(reply, "rip") ?? this.fetched(thread).pc;
  }

  stackPointer(thread: ProgramThread, reply: Stopped): Address {
    return this.expedited(reply, "rsp") ?? this.fetched(thread).sp;
  }

  /** Looked at before it is known what kind of stop it is: they are not yet as the core is to see them. */
  private fetched(thread: ProgramThread): ProgramThread["registers"] {
    this.fetch(thread);
    thread.fetched = false;
    return thread.registers;
  }

  private expedited(reply: Stopped, name: string): Address | undefined {
    const bytes = reply.expedited.get(this.client.layout.find(name)?.number ?? -1);
    if (bytes?.length !== 8) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
    return addressFromHalves(view.getUint32(0, true), view.getUint32(4, true));
  }
}
