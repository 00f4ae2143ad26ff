import { type Address, offsetBy } from "../../src/base/address.js";
import type { ProbeCore } from "../../src/probes/core.js";
import { RETURNED } from "../../src/probes/outcome.js";
import type { Hit } from "../../src/probes/probe.js";
import { ReturnProbe } from "../../src/probes/return-probe.js";
import type { SpaceId, ThreadId } from "../../src/targets/target.js";
import { AT, TEXT } from "./fake-program.js";

/** A return probe on the program's function, held against the returns that the threads really make. */
export class ReturnCheck {
  private readonly probe: ReturnProbe;
  /** Threads that are in the function, and were seen to call it. */
  private readonly inside = new Set<ThreadId>();
  /** Threads whose return is to be told next. */
  private readonly owed = new Set<ThreadId>();
  /** As above, but where the return may go unseen. */
  private readonly unsure = new Set<ThreadId>();
  private readonly possible = new Set<ThreadId>();
  /** Spaces where calls are seen. */
  private readonly spaces = new Set<SpaceId>();

  /** What was kept of the entries of each thread's calls, a number for each. */
  private readonly kept = new Map<ThreadId, Set<number>>();
  private keeps = 0;

  constructor(core: ProbeCore) {
    const probe = core.register({
      name: "return",
      pre: (hit) => {
        this.onReturn(hit);
        return RETURNED;
      },
    });
    this.probe = new ReturnProbe(core, probe, ({ thread }) => {
      this.keptOf(thread).add(++this.keeps);
      return this.keeps;
    });
  }

  arm(space: SpaceId): void {
    this.probe.arm(space, offsetBy(TEXT, AT.function));
    this.spaces.add(space);
  }

  unregister(): void {
    this.probe.unregister();
    this.letGo();
  }

  /** Nothing is told any more. */
  letGo(): void {
    this.spaces.clear();
    for (const threads of [this.inside, this.owed, this.unsure, this.possible]) threads.clear();
  }

  /**
   * A thread stands at a breakpoint.
   *
   * @param readable its stack can be read; else nobody can tell where it will return to
   */
  arrives(thread: ThreadId, space: SpaceId, offset: number, readable: boolean): void {
    if (offset !== AT.function || !this.spaces.has(space)) return;
    if (readable) this.inside.add(thread);
    else this.unsure.add(thread);
  }

  executed(thread: ThreadId, offset: number): void {
    if (offset === AT.ret) {
      if (this.inside.delete(thread)) this.owed.add(thread);
      else if (this.unsure.has(thread)) this.possible.add(thread);
      this.unsure.delete(thread);
    } else if (offset === AT.site) {
      if (this.owed.delete(thread)) throw new Error("a return is not told");
      this.possible.delete(thread);
    }
  }

  /** A thread left whatever it was in: to where that returns, or to call the function again, perhaps unseen. */
  jumped(thread: ThreadId): void {
    const was = [this.inside, this.owed, this.unsure, this.possible].map((threads) => threads.delete(thread));
    if (!was.includes(true)) return;
    this.unsure.add(thread);
    this.possible.add(thread);
  }

  /** A place was given up. */
  lost(space: SpaceId, offset: number): void {
    if (offset === AT.function) this.spaces.delete(space);
    if (offset !== AT.site) return;
    // Perhaps nobody sees those return that are inside now.
    for (const thread of this.inside) this.unsure.add(thread);
    for (const thread of this.owed) this.possible.add(thread);
    this.inside.clear();
    this.owed.clear();
  }

  copied(parent: ThreadId, child: ThreadId, from: SpaceId, to: SpaceId): void {
    this.probe.threadCopied(parent, child, to);
    this.kept.set(child, new Set(this.keptOf(parent)));
    if (this.spaces.has(from)) this.spaces.add(to);
  }

  gone(thread: ThreadId): void {
    for (const threads of [this.inside, this.owed, this.unsure, this.possible]) threads.delete(thread);
    this.probe.threadGone(thread);
    this.kept.delete(thread);
  }

  check(): void {
    const { hits, completed, faulted, abandoned } = this.probe.probe;
    if (hits !== completed + faulted + abandoned) throw new Error("the counts of a return probe add up");
  }

  private keptOf(thread: ThreadId): Set<number> {
    let kept = this.kept.get(thread);
    if (kept === undefined) {
      kept = new Set();
      this.kept.set(thread, kept);
    }
    return kept;
  }

  private onReturn(hit: Hit): void {
    if (!this.keptOf(hit.thread).delete(hit.saved as number))
      throw new Error("a return has what was kept of another call");
    if (!this.owed.delete(hit.thread) && !this.possible.delete(hit.thread))
      throw new Error("a return is told that was none");
    if (this.probe.returningFrom !== (offsetBy(TEXT, AT.function) as Address | undefined))
      throw new Error("a return is told of the wrong function");
  }
}
