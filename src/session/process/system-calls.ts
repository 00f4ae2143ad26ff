import { systemCallName } from "../../arch/x86_64/system-call-names.js";
import type { InstructionFault } from "../../probes/instruction-fault.js";
import type { ProbeCore } from "../../probes/core.js";
import type { Probe } from "../../probes/probe.js";
import { compileGlob, type Glob } from "../../symbols/glob.js";
import type { Target, ThreadId } from "../../targets/target.js";
import type { Images } from "../images.js";
import type { SystemCall, SystemCallPoint, SystemCalls } from "../system-calls.js";

interface Watched {
  readonly probe: Probe;
  readonly glob: Glob | undefined;
  readonly where: "entry" | "return";
  readonly concerns: (thread: ThreadId) => boolean;
}

/** One call of one thread that a probe counted. */
interface Call {
  readonly number: number;
  readonly retries: number;
  readonly probes: readonly Watched[];
}

/** A call to be made again, perhaps only when a handler of signals, which makes calls too, returned. */
interface Interrupted {
  readonly call: Call;
  /** Where it is made again: behind the instruction, and the stack there. */
  readonly pc: number;
  readonly sp: number;
}

const EFAULT = 14n;
const EINTR = 4n;
/**
 * Results that no program sees: the call was interrupted. Whether it is made again depends on what
 * interrupted it. Linux include/linux/errno.h, arch/x86/kernel/signal.c (handle_signal).
 */
const INTERRUPTED: ReadonlyMap<bigint, "always" | "SA_RESTART" | "without a handler"> = new Map([
  [512n, "SA_RESTART"], // ERESTARTSYS
  [513n, "always"], // ERESTARTNOINTR
  [514n, "without a handler"], // ERESTARTNOHAND
  [516n, "without a handler"], // ERESTART_RESTARTBLOCK
]);
const RESTART_SYSCALL = 219;
const RT_SIGRETURN = 15;
const SYSCALL_LENGTH = 2;
/** Calls of one thread that may wait for their restart at once, each under a handler of signals. */
const MAXIMUM_INTERRUPTED = 16;

/** Will the kernel make a call again? Undefined where it was not interrupted. */
type Restarts = boolean | "unknown" | undefined;

/**
 * Probes on system calls (row S11). `pre` is the entry, `post` the normal return, `fault` a call
 * that ended with EFAULT or that a signal interrupted. Where the kernel makes it again the fault is
 * retryable, and the restart is a retry; where it does not, the program finds EINTR.
 */
export class SystemCallProbes implements SystemCalls {
  private readonly watched: Watched[] = [];
  private readonly under = new Map<ThreadId, Call>();
  /** Calls that were interrupted to be made again. */
  private readonly interrupted = new Map<ThreadId, Interrupted[]>();
  private now: SystemCall | undefined;

  constructor(
    private readonly target: Target,
    private readonly core: ProbeCore,
    private readonly images: Images,
  ) {}

  /** A target that nobody asks stops at none. */
  begin(): void {
    if (this.watched.length > 0) this.target.traceSystemCalls(true);
  }

  add(probe: Probe, point: SystemCallPoint): void {
    this.watched.push({
      probe,
      glob: point.name === undefined ? undefined : compileGlob(point.name),
      where: point.where,
      concerns: (thread) => this.images.concerns(point.program, thread),
    });
  }

  /** The call that the handler now running is about. */
  get current(): SystemCall | undefined {
    return this.now;
  }

  onStop(thread: ThreadId, phase: "entry" | "exit", number: number): void {
    if (phase === "entry") this.onEntry(thread, number);
    else {
      this.onExit(thread);
      if (number === RT_SIGRETURN) this.onHandlerLeft(thread);
    }
  }

  threadGone(thread: ThreadId): void {
    const call = this.under.get(thread);
    if (call !== undefined) for (const each of call.probes) each.probe.count("abandoned");
    this.under.delete(thread);
    this.interrupted.delete(thread);
  }

  private onEntry(thread: ThreadId, number: number): void {
    const before = this.restarted(thread, number);
    const meant = before?.number ?? number;
    const name = systemCallName(meant) ?? `sys_${String(meant)}`;
    const probes = this.watched.filter(
      (each) => each.probe.armed && (each.glob?.matches(name) ?? true) && each.concerns(thread),
    );
    if (probes.length === 0) {
      this.under.delete(thread);
      return;
    }
    const retries = before === undefined ? 0 : before.retries + 1;
    const counted: Watched[] = [];
    this.under.set(thread, { number: meant, retries, probes: counted });
    this.about({ number: meant, name }, () => {
      for (const each of probes) {
        const phase = each.where === "entry" ? "pre" : undefined;
        // A handler before it may have disarmed it.
        if (this.core.fire(each.probe, phase ?? "none", thread, { retries, part: "begin" }))
          counted.push(each);
      }
    });
  }

  private onExit(thread: ThreadId): void {
    const call = this.under.get(thread);
    if (call === undefined) return;
    const registers = this.target.registers(thread);
    const told = registers.read("rax");
    const result = -BigInt.asIntN(64, told);
    const restarts = this.restarts(thread, result);
    // Only now: a thread that is killed while it is looked at is still under way, and abandoned by its end.
    this.under.delete(thread);
    const mayRestart = restarts === true || restarts === "unknown";
    if (mayRestart) this.interrupt(thread, call);
    const fault = faultOf(result, restarts);
    const name = systemCallName(call.number) ?? `sys_${String(call.number)}`;
    // What the program will find there once its handler of signals has returned.
    if (restarts === false) registers.write("rax", BigInt.asUintN(64, -EINTR));
    try {
      this.about({ number: call.number, name }, () => {
        for (const each of call.probes) {
          // A `.return` point sees every result that the program sees, as pre; a restart is none.
          const atReturn = mayRestart ? "none" : "pre";
          const phase = each.where === "return" ? atReturn : fault === undefined ? "post" : "fault";
          const details = { retries: call.retries, part: "end" as const };
          this.core.fire(each.probe, phase, thread, fault === undefined ? details : { ...details, fault });
        }
      });
    } finally {
      if (restarts === false) registers.write("rax", told);
    }
  }

  /**
   * Will the kernel make the call again? Undefined where it was not interrupted. Told by the signal that
   * is due: it stays pending until the thread goes on from here.
   */
  private restarts(thread: ThreadId, result: bigint): Restarts {
    const when = INTERRUPTED.get(result);
    if (when === undefined) return undefined;
    const due = this.target.capabilities.dueSignal?.(thread);
    if (due === undefined) return true;
    if (due.disposition === "fatal") return false;
    switch (when) {
      case "always":
        return true;
      case "without a handler":
        return false;
      case "SA_RESTART":
        return due.restarts() ?? "unknown";
    }
  }

  private interrupt(thread: ThreadId, call: Call): void {
    const { pc, sp } = this.target.registers(thread);
    const calls = this.interrupted.get(thread) ?? [];
    this.interrupted.set(thread, calls);
    calls.push({ call, pc, sp });
    if (calls.length > MAXIMUM_INTERRUPTED) calls.shift();
  }

  /** The interrupted call that is now made again; those inside of it were left for good. */
  private restarted(thread: ThreadId, number: number): Call | undefined {
    const calls = this.interrupted.get(thread);
    if (calls === undefined || calls.length === 0) return undefined;
    const { pc, sp } = this.target.registers(thread);
    const index = calls.findLastIndex(
      (each) =>
        each.pc === pc && each.sp === sp && (number === each.call.number || number === RESTART_SYSCALL),
    );
    return index < 0 ? undefined : calls.splice(index)[0]?.call;
  }

  /** Without SA_RESTART the thread goes on behind the call, which gave EINTR: a next one is no restart. */
  private onHandlerLeft(thread: ThreadId): void {
    const calls = this.interrupted.get(thread);
    if (calls === undefined) return;
    const { pc, sp } = this.target.registers(thread);
    const index = calls.findLastIndex(
      (each) => each.sp === sp && (each.pc === pc || each.pc === pc + SYSCALL_LENGTH),
    );
    if (index >= 0) calls.length = calls[index]?.pc === pc ? index : index + 1;
  }

  private about(call: { readonly number: number; readonly name: string }, body: () => void): void {
    this.now = call;
    try {
      body();
    } finally {
      this.now = undefined;
    }
  }
}

function faultOf(result: bigint, restarts: Restarts): InstructionFault | undefined {
  const fault = (name: string, number: bigint, retryable: boolean): InstructionFault => ({
    name,
    number: Number(number),
    code: 0,
    address: undefined,
    retryable,
  });
  // Where it is not known no handler is told to count on it; a restart that comes is a retry all the same.
  if (restarts === true || restarts === "unknown") return fault("ERESTART", result, restarts === true);
  if (restarts === false) return fault("EINTR", EINTR, false);
  return result === EFAULT ? fault("EFAULT", EFAULT, false) : undefined;
}
