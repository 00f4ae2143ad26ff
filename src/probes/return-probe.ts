import { type Address, addressOf, offsetBy } from "../base/address.js";
import { MemoryFault, ProbeRefused, TargetGone } from "../base/errors.js";
import type { SpaceId, ThreadId } from "../targets/target.js";
import type { ArmOptions } from "./arming.js";
import type { ProbeCore } from "./core.js";
import type { Hit, Probe } from "./probe.js";
import { RETURNED } from "./outcome.js";

/** A call whose return is awaited. */
interface Call {
  readonly space: SpaceId;
  /** Entry of the function that was called. */
  readonly entry: Address;
  /** Where it will return to. */
  readonly site: Address;
  /** Where the stack pointer stands on the way back: above the return address. */
  readonly sp: Address;
  /** What was kept of its entry. */
  readonly saved: unknown;
}

/** Calls awaited a thread; deeper recursion is counted as missed. */
const MAXIMUM_AWAITED = 100_000;

/**
 * Makes a probe fire when functions return. The return address on the stack is never touched, so
 * backtraces, C++ exceptions, `longjmp` and programs that look at their own stack see nothing: the
 * instruction at the return address is probed instead, and a hit there is this function's return
 * when thread and stack pointer say so.
 */
export class ReturnProbe {
  private readonly entryProbe: Probe;
  private readonly awaited = new Map<ThreadId, Call[]>();
  /** The call that the hit now being handled ended. */
  private ended: Call | undefined;

  /**
   * @param probe fires at returns; it must not be armed anywhere by anybody else
   * @param save called at each entry; what it gives is `hit.saved` at the return of that very call
   */
  constructor(
    private readonly core: ProbeCore,
    readonly probe: Probe,
    private readonly save?: (hit: Hit) => unknown,
  ) {
    this.entryProbe = core.register({
      name: `${probe.definition.name} (entry)`,
      internal: true,
      pre: (hit) => {
        this.onEntry(hit);
        return RETURNED;
      },
    });
  }

  /** @throws ProbeRefused the entry cannot be probed */
  arm(space: SpaceId, entry: Address, options: ArmOptions = {}): void {
    this.core.arm(this.entryProbe, space, entry, options);
  }

  unregister(): void {
    this.core.unregister(this.entryProbe);
    this.core.unregister(this.probe);
    this.awaited.clear();
  }

  /** The entry of the function whose return is being handled. */
  get returningFrom(): Address | undefined {
    return this.ended?.entry;
  }

  /** A forked child will return from every function that its parent was in. */
  threadCopied(parent: ThreadId, child: ThreadId, space: SpaceId): void {
    const calls = this.awaited.get(parent);
    if (calls !== undefined)
      this.awaited.set(
        child,
        calls.map((call) => ({ ...call, space })),
      );
  }

  threadGone(thread: ThreadId): void {
    this.awaited.delete(thread);
  }

  private onEntry(hit: Hit): void {
    const { probe } = this;
    if (!probe.armed) return;
    const entry = hit.at;
    const sp = hit.registers.sp;
    const site = returnAddress(hit, sp);
    if (site === undefined) {
      probe.count("nmissed");
      return;
    }
    const calls = this.callsOf(hit.thread);
    const after = offsetBy(sp, 8);
    // A call that stood at this very place of the stack left without returning: longjmp, an exception.
    const stale = calls.findIndex((call) => call.sp === after && call.entry === entry);
    if (stale >= 0) calls.splice(stale, 1);
    try {
      this.core.arm(probe, hit.space, site, {
        key: hit.at,
        accepts: (back) => this.isReturn(back, entry),
      });
    } catch (error) {
      if (!(error instanceof ProbeRefused || error instanceof MemoryFault || error instanceof TargetGone))
        throw error;
      probe.count("nmissed");
      return;
    }
    if (calls.length >= MAXIMUM_AWAITED) {
      calls.shift();
      probe.count("nmissed");
    }
    calls.push({ space: hit.space, entry, site, sp: after, saved: this.save?.(hit) });
  }

  /** Each function has an entry of its own at the site: after a tail call two of them return at once. */
  private isReturn(hit: Hit, entry: Address): boolean {
    const calls = this.awaited.get(hit.thread);
    if (calls === undefined) return false;
    const sp = hit.registers.sp;
    const index = calls.findLastIndex(
      (call) => call.entry === entry && call.sp === sp && call.site === hit.at && call.space === hit.space,
    );
    if (index < 0) return false;
    this.ended = calls[index];
    hit.saved = this.ended?.saved;
    calls.splice(index, 1);
    return true;
  }

  private callsOf(thread: ThreadId): Call[] {
    let calls = this.awaited.get(thread);
    if (calls === undefined) {
      calls = [];
      this.awaited.set(thread, calls);
    }
    return calls;
  }
}

function returnAddress(hit: Hit, sp: Address): Address | undefined {
  const bytes = new Uint8Array(8);
  try {
    hit.memory.read(sp, bytes);
  } catch (error) {
    // A stack that cannot be read: the function cannot return either. Counted by the caller.
    if (error instanceof MemoryFault) return undefined;
    throw error;
  }
  return addressOf(new DataView(bytes.buffer).getBigUint64(0, true));
}
