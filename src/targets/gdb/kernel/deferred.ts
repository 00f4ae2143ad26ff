import type { Address } from "../../../base/address.js";
import type { ReturnToken, ThreadId } from "../../target.js";

interface DeferredInstruction {
  readonly thread: ThreadId;
  readonly at: Address;
  readonly sp: Address;
  readonly token: ReturnToken;
}

/** More than interrupts nest, on all processors, and tasks that are preempted by one. The oldest gives way. */
const MOST = 256;

/**
 * Instructions that an interrupt came before. When it is dealt with, the thread executes the breakpoint there
 * again, on the same stack: nothing else that it does in between can, for all of it is called or interrupts
 * further down, or on another stack.
 */
export class Deferred {
  private readonly waiting: DeferredInstruction[] = [];

  begin(instruction: DeferredInstruction): void {
    this.waiting.push(instruction);
    if (this.waiting.length > MOST) this.waiting.shift();
  }

  /** A thread arrives somewhere. @returns the token where that is by its return; else 0 */
  arrives(thread: ThreadId, at: Address, sp: Address): ReturnToken {
    if (this.waiting.length === 0) return 0;
    const index = this.waiting.findIndex(
      (each) => each.thread === thread && each.at === at && each.sp === sp,
    );
    return index < 0 ? 0 : (this.waiting.splice(index, 1)[0]?.token ?? 0);
  }

  /** The breakpoint there is gone: whoever comes back executes the instruction unseen. */
  forget(at: Address): void {
    for (let index = this.waiting.length - 1; index >= 0; index--)
      if (this.waiting[index]?.at === at) this.waiting.splice(index, 1);
  }
}
