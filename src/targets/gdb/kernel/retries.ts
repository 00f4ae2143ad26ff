import type { Address } from "../../../base/address.js";
import type { ReturnToken, ThreadId } from "../../target.js";
import { BREAK, type GdbClient } from "../protocol/client.js";
import type { Vcpu } from "./machine.js";

interface OpenFault {
  readonly token: ReturnToken;
  readonly thread: ThreadId;
  /** The instruction, and the stack that it had. */
  readonly at: Address;
  readonly sp: Address;
}

const WORD = 8;
/** Faults that the kernel is still busy with, at most: the oldest is given up. */
const MOST = 32;

/**
 * Faults that the kernel is dealing with. The program counter that the processor pushed is watched: who
 * reads it last is the `iret` that goes back to it, and where that goes the same instruction is tried again.
 */
export class OpenFaults {
  private readonly open = new Map<Address, OpenFault>();
  private readonly back = new Map<ThreadId, OpenFault>();

  constructor(
    private readonly client: GdbClient,
    private readonly read: (at: Address, into: Uint8Array) => number,
  ) {}

  /** @param pcAt where the pushed program counter lies */
  begin(pcAt: Address, fault: OpenFault): void {
    this.end(pcAt);
    const oldest = this.open.size >= MOST ? this.open.keys().next().value : undefined;
    if (oldest !== undefined) this.end(oldest);
    this.client.pipeline.breakpoint("Z", BREAK.read, pcAt, WORD);
    this.open.set(pcAt, fault);
  }

  /** The machine stopped because a watched word was read. @returns false where it is none of ours */
  seen(pcAt: Address, vcpu: Vcpu): boolean {
    const fault = this.open.get(pcAt);
    if (fault === undefined) return false;
    const { pc, sp } = vcpu.actual;
    if (pc === fault.at && sp === fault.sp) {
      this.back.set(fault.thread, fault);
      this.end(pcAt);
      return true;
    }
    // The kernel looked where it was interrupted; or it has it go on elsewhere (its exception table).
    const bytes = new Uint8Array(WORD);
    const view = new DataView(bytes.buffer);
    const there = this.read(pcAt, bytes) === WORD ? view.getBigInt64(0, true) : undefined;
    if (there !== BigInt(fault.at)) this.end(pcAt);
    return true;
  }

  /** A thread arrives somewhere. @returns the token where it just came back to the instruction that faulted */
  arrives(thread: ThreadId, at: Address, sp: Address): ReturnToken {
    const fault = this.back.get(thread);
    if (fault === undefined) return 0;
    this.back.delete(thread);
    return fault.at === at && fault.sp === sp ? fault.token : 0;
  }

  /** Watches nothing any more. */
  remove(): void {
    for (const pcAt of [...this.open.keys()]) this.end(pcAt);
    this.client.pipeline.flush();
  }

  private end(pcAt: Address): void {
    if (!this.open.delete(pcAt)) return;
    this.client.pipeline.breakpoint("z", BREAK.read, pcAt, WORD);
  }
}
