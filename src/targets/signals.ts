import os from "node:os";
import type { SignalInfo } from "./target.js";

/** Numbers of signals. signal(7), x86 column. */
export const SIG = {
  ILL: 4,
  TRAP: 5,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  SEGV: 11,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  SYS: 31,
} as const;

/** Signal numbers are 1 … 64 on x86-64. */
export const LAST_SIGNAL = 64;

/** First real-time signal of the C library (it keeps 32 and 33 for itself). signal(7). */
const SIGRTMIN = 34;

const NAMES: readonly string[] = (() => {
  const names = Array.from({ length: LAST_SIGNAL + 1 }, (_, n) =>
    n === SIGRTMIN ? "SIGRTMIN" : n > SIGRTMIN ? `SIGRTMIN+${n - SIGRTMIN}` : `SIG${n}`,
  );
  // First name of a number wins: SIGABRT, not SIGIOT; SIGIO, not SIGPOLL.
  for (const [name, number] of Object.entries(os.constants.signals).reverse()) names[number] = name;
  return names;
})();

/** `"SIGSEGV"` for 11. */
export function signalName(number: number): string {
  return NAMES[number] ?? `SIG${number}`;
}

/** Length of `siginfo_t`. include/uapi/asm-generic/siginfo.h. */
export const SIGINFO_BYTES = 128;
const SI_CODE = 8;
const SI_ADDR = 16;

/** Values of `si_code` that the engine names. sigaction(2). */
export const SI = {
  /** Raised by the kernel itself; for SIGTRAP: an `int3` was executed. */
  KERNEL: 0x80,
  /** SIGTRAP: a debug trap by EFLAGS.TF. */
  TRAP_TRACE: 2,
  /** SIGTRAP: hardware breakpoint, also the trap after a stepped system call. */
  TRAP_BRKPT: 1,
  TRAP_HWBKPT: 4,
} as const;

/** Signals that an instruction raises, whose siginfo has `si_addr`. sigaction(2). */
const HAVE_ADDRESS: ReadonlySet<number> = new Set([SIG.ILL, SIG.TRAP, SIG.BUS, SIG.FPE, SIG.SEGV]);

/** `si_signo` of a siginfo. */
export function signalOf(siginfo: DataView): number {
  return siginfo.getInt32(0, true);
}

/** `si_code` of a siginfo. */
export function codeOf(siginfo: DataView): number {
  return siginfo.getInt32(SI_CODE, true);
}

/**
 * A signal as the core sees it.
 *
 * The kernel raises synchronous signals with a positive code. A program can queue itself a signal
 * with any negative code, but only to itself with a positive one (rt_sigqueueinfo(2) refuses
 * `si_code >= 0` for others), which the core weeds out by looking at the instruction.
 */
export function decodeSignal(number: number, siginfo: DataView): SignalInfo {
  const code = codeOf(siginfo);
  const synchronous = HAVE_ADDRESS.has(number) && code > 0;
  return {
    number,
    name: signalName(number),
    code,
    address:
      synchronous && !(code === SI.KERNEL && number === SIG.TRAP)
        ? siginfo.getBigUint64(SI_ADDR, true)
        : undefined,
    synchronous,
  };
}

/** Changes `si_addr` in place. */
export function setAddress(siginfo: DataView, address: bigint): void {
  siginfo.setBigUint64(SI_ADDR, BigInt.asUintN(64, address), true);
}

/** Whether the job-control stop was caused by this signal. ptrace(2), "Group-stop". */
export function isStopSignal(number: number): boolean {
  return number === SIG.STOP || number === SIG.TSTP || number === SIG.TTIN || number === SIG.TTOU;
}
