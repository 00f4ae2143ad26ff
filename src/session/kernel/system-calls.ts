import { type Address, addressOf } from "../../base/address.js";
import { MemoryFault, TraplineError, UsageError } from "../../base/errors.js";
import { closest } from "../../base/closest.js";
import type { ProbeCore } from "../../probes/core.js";
import type { InstructionFault } from "../../probes/instruction-fault.js";
import { RETURNED } from "../../probes/outcome.js";
import type { Hit, Probe } from "../../probes/probe.js";
import { ReturnProbe } from "../../probes/return-probe.js";
import { compileGlob, type Glob } from "../../symbols/glob.js";
import type { ThreadId } from "../../targets/target.js";
import type { SystemCall, SystemCallPoint, SystemCalls } from "../system-calls.js";
import { callFunctions, type CallFunction } from "./call-functions.js";
import type { KernelImages } from "./images.js";
import { readUserRegisters, type UserRegisters } from "./user-registers.js";

interface Watched {
  readonly probe: Probe;
  readonly where: "entry" | "return";
  readonly glob: Glob;
  readonly concerns: (thread: ThreadId) => boolean;
}

/** One call of one task that a probe counted. */
interface Call extends SystemCall {
  readonly user: UserRegisters;
  readonly retries: number;
  readonly probes: readonly Watched[];
}

const EFAULT = 14n;
const RESTART_SYSCALL = "restart_syscall";
/**
 * Results that say that the call is to be made again once the signal is dealt with; no program sees them.
 * Whether it is, the kernel decides when it delivers the signal: without SA_RESTART the program finds EINTR.
 * Linux, include/linux/errno.h.
 */
const RESTARTS: ReadonlySet<bigint> = new Set([
  512n, // ERESTARTSYS
  513n, // ERESTARTNOINTR
  514n, // ERESTARTNOHAND
  516n, // ERESTART_RESTARTBLOCK
]);
/** Calls of one task that may wait for their restart at once, each under a handler of signals. */
const MOST_INTERRUPTED = 16;

/**
 * Probes on the system calls of a kernel (row S11), at the functions that it enters for them: `pre` is the
 * entry, `post` a return, `fault` one with EFAULT or with the wish to be made again. When the same task makes
 * the same call at the same place of its program, that is the retry.
 */
export class KernelSystemCalls implements SystemCalls {
  current: SystemCall | undefined;
  private readonly watched: Watched[] = [];
  private readonly functions = new Map<Address, CallFunction>();
  private readonly under = new Map<ThreadId, Call>();
  private readonly interrupted = new Map<ThreadId, Call[]>();
  private readonly entries: Probe;
  private readonly returns: ReturnProbe;

  constructor(
    private readonly core: ProbeCore,
    private readonly images: KernelImages,
  ) {
    this.entries = core.register({
      name: "system calls (entry)",
      internal: true,
      pre: (hit) => {
        this.onEntry(hit);
        return RETURNED;
      },
    });
    const exits = core.register({
      name: "system calls",
      internal: true,
      pre: (hit) => {
        this.onExit(hit);
        return RETURNED;
      },
    });
    this.returns = new ReturnProbe(core, exits);
  }

  add(probe: Probe, point: SystemCallPoint): void {
    const pattern = point.name ?? "*";
    const found = callFunctions(this.images.code, pattern);
    if (found.length === 0) {
      const near = closest(
        pattern,
        callFunctions(this.images.code, "*").map(({ name }) => name),
      );
      throw new UsageError(
        `the kernel has no system call ${pattern}${near === undefined ? "" : `: did you mean ${near}?`}`,
      );
    }
    this.watched.push({
      probe,
      where: point.where,
      glob: compileGlob(pattern),
      concerns: (thread) => this.images.concerns(point.program, thread),
    });
    for (const each of found) this.watch(each);
  }

  begin(): void {
    if (this.watched.length === 0) return;
    // A call whose rest is kept by the kernel is made again under this name.
    for (const each of callFunctions(this.images.code, RESTART_SYSCALL)) this.watch(each);
    for (const [address, { name }] of this.functions) this.arm(address, name);
  }

  onStop(): void {
    // Told by probes, not by stops.
  }

  threadGone(thread: ThreadId): void {
    this.abandon(thread);
    this.interrupted.delete(thread);
    this.returns.threadGone(thread);
  }

  private watch(each: CallFunction): void {
    this.functions.set(this.images.entryOf(each.function), each);
  }

  private arm(address: Address, name: string): void {
    const space = this.images.space;
    try {
      this.images.at(space, address)?.refuse(address);
      this.returns.arm(space, address);
      // In this order: the entry is told once its return is awaited.
      this.core.arm(this.entries, space, address);
    } catch (error) {
      if (!(error instanceof TraplineError)) throw error;
      throw new UsageError(`the system call ${name} cannot be probed: ${error.message}`, { cause: error });
    }
  }

  private onEntry(hit: Hit): void {
    const { thread } = hit;
    const found = this.functions.get(hit.at);
    const user = found === undefined ? undefined : userRegistersOf(hit, found.abi);
    // A task that died in its last call gives its place to another one.
    this.abandon(thread);
    if (found === undefined || user === undefined) return;
    const before = this.madeAgain(thread, found.name, user);
    const name = before?.name ?? found.name;
    const probes = this.watched.filter(
      (each) => each.probe.armed && each.glob.matches(name) && each.concerns(thread),
    );
    if (probes.length === 0) return;
    const retries = before === undefined ? 0 : before.retries + 1;
    const counted: Watched[] = [];
    const number = before?.number ?? user.number;
    const call: Call = { number, name, arguments: user.arguments, user, retries, probes: counted };
    this.under.set(thread, call);
    this.about(call, () => {
      for (const each of probes) {
        const phase = each.where === "entry" ? "pre" : "none";
        // A handler before it may have disarmed it.
        if (this.core.fire(each.probe, phase, thread, { retries, part: "begin" })) counted.push(each);
      }
    });
  }

  private onExit(hit: Hit): void {
    const { thread } = hit;
    const call = this.under.get(thread);
    if (call === undefined) return;
    this.under.delete(thread);
    const result = -BigInt.asIntN(64, hit.registers.read("rax"));
    const fault = faultOf(result);
    if (fault?.retryable === true) this.awaitRestart(thread, call);
    this.about(call, () => {
      for (const each of call.probes) {
        const phase = each.where === "return" ? "pre" : fault === undefined ? "post" : "fault";
        const details = { retries: call.retries, part: "end" as const };
        this.core.fire(each.probe, phase, thread, fault === undefined ? details : { ...details, fault });
      }
    });
  }

  private awaitRestart(thread: ThreadId, call: Call): void {
    const calls = this.interrupted.get(thread) ?? [];
    this.interrupted.set(thread, calls);
    calls.push(call);
    if (calls.length > MOST_INTERRUPTED) calls.shift();
  }

  /** The interrupted call that is now made again; those inside of it were left for good. */
  private madeAgain(thread: ThreadId, name: string, user: UserRegisters): Call | undefined {
    const calls = this.interrupted.get(thread);
    if (calls === undefined || calls.length === 0) return undefined;
    const index = calls.findLastIndex(
      (each) =>
        each.user.ip === user.ip &&
        each.user.sp === user.sp &&
        (name === each.name || name === RESTART_SYSCALL),
    );
    return index < 0 ? undefined : calls.splice(index)[0];
  }

  private abandon(thread: ThreadId): void {
    for (const each of this.under.get(thread)?.probes ?? []) each.probe.count("abandoned");
    this.under.delete(thread);
  }

  private about(call: SystemCall, body: () => void): void {
    this.current = call;
    try {
      body();
    } finally {
      this.current = undefined;
    }
  }
}

/** Undefined where the stack is damaged: there is no call to tell of. */
function userRegistersOf(hit: Hit, abi: CallFunction["abi"]): UserRegisters | undefined {
  const at = addressOf(hit.registers.read("rdi"));
  if (at === undefined) return undefined;
  try {
    return readUserRegisters(hit.memory, at, abi);
  } catch (error) {
    if (error instanceof MemoryFault) return undefined;
    throw error;
  }
}

function faultOf(result: bigint): InstructionFault | undefined {
  if (RESTARTS.has(result))
    return { name: "ERESTART", number: Number(result), code: 0, address: undefined, retryable: true };
  return result === EFAULT
    ? { name: "EFAULT", number: Number(EFAULT), code: 0, address: undefined, retryable: false }
    : undefined;
}
