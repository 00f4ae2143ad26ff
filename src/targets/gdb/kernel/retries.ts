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
  /**
   * Words that the stub watches. One is let go of only where the stub has just told that it was read: QEMU keeps a
   * pointer to the watchpoint that a processor has hit until it has told so, and does not notice when it is removed.
   */
  private readonly watched = new Set<Address>();

  constructor(
    private readonly client: GdbClient,
    private readonly read: (at: Address, into: Uint8Array) => number,
  ) {}

  /** @param pcAt where the pushed program counter lies */
  begin(pcAt: Address, fault: OpenFault): void {
    if (this.open.size >= MOST)
      for (const oldest of [...this.open.keys()].slice(0, 1)) this.open.delete(oldest);
    this.open.set(pcAt, fault);
    if (this.watched.has(pcAt)) return;
    this.watched.add(pcAt);
    this.client.pipeline.breakpoint("Z", BREAK.read, pcAt, WORD);
  }

  /** Has any thread that may come back an instruction there? */
  expects(at: Address): boolean {
    for (const fault of this.open.values()) if (fault.at === at) return true;
    return false;
  }

  /**
   * A processor stands still, for whatever reason. Of two that stop at once a stub tells of one alone: whether
   * this one just came back shows where it stands, before the instruction's breakpoint is executed.
   */
  passes(vcpu: Vcpu): void {
    const { pc, sp } = vcpu.actual;
    for (const [pcAt, fault] of this.open) {
      if (fault.at !== pc || fault.sp !== sp) continue;
      this.back.set(fault.thread, fault);
      this.open.delete(pcAt);
      return;
    }
  }

  /** The machine stopped because a watched word was read, and {@link passes} has looked who stands where. */
  seen(pcAt: Address): void {
    if (!this.watched.has(pcAt)) return;
    const fault = this.open.get(pcAt);
    if (fault !== undefined) {
      // The kernel looked where it was interrupted; or it has it go on elsewhere (its exception table).
      const bytes = new Uint8Array(WORD);
      const there =
        this.read(pcAt, bytes) === WORD ? new DataView(bytes.buffer).getBigInt64(0, true) : undefined;
      if (there === BigInt(fault.at)) return;
      this.open.delete(pcAt);
    }
    this.letGo(pcAt);
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
    for (const pcAt of [...this.watched]) this.letGo(pcAt);
    this.client.pipeline.flush();
  }

  private letGo(pcAt: Address): void {
    this.watched.delete(pcAt);
    this.client.pipeline.breakpoint("z", BREAK.read, pcAt, WORD);
  }
}
