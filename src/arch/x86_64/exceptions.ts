/** What an exception of the processor is, and the signal that Linux makes of it. */
export interface ExceptionFacts {
  readonly mnemonic: string;
  /**
   * `fault`: the program counter stays at the instruction, which may be tried again. `trap`: it is
   * behind. `abort`: it means nothing reliable.
   */
  readonly class: "fault" | "trap" | "abort";
  /** Undefined where user code never gets one. */
  readonly signal: string | undefined;
}

/**
 * Exceptions by vector. Intel SDM vol. 3A, 6.3.1, 6.5 and table 6-1; signals: Linux
 * arch/x86/kernel/traps.c and arch/x86/mm/fault.c.
 *
 * #DB stands as a trap: single steps, data breakpoints and `int1` are; instruction breakpoints,
 * which are faults, no instruction raises by itself. Virtual machines on AMD's processors tell `int1` as a
 * fault all the same, see {@link Standing}. #PF may also become SIGBUS (past the end of a
 * file, poisoned memory): see {@link mayHaveRaised}.
 */
export const EXCEPTIONS = {
  0: { mnemonic: "#DE", class: "fault", signal: "SIGFPE" },
  1: { mnemonic: "#DB", class: "trap", signal: "SIGTRAP" },
  3: { mnemonic: "#BP", class: "trap", signal: "SIGTRAP" },
  4: { mnemonic: "#OF", class: "trap", signal: "SIGSEGV" },
  5: { mnemonic: "#BR", class: "fault", signal: "SIGSEGV" },
  6: { mnemonic: "#UD", class: "fault", signal: "SIGILL" },
  7: { mnemonic: "#NM", class: "fault", signal: undefined },
  8: { mnemonic: "#DF", class: "abort", signal: undefined },
  10: { mnemonic: "#TS", class: "fault", signal: "SIGSEGV" },
  11: { mnemonic: "#NP", class: "fault", signal: "SIGBUS" },
  12: { mnemonic: "#SS", class: "fault", signal: "SIGBUS" },
  13: { mnemonic: "#GP", class: "fault", signal: "SIGSEGV" },
  14: { mnemonic: "#PF", class: "fault", signal: "SIGSEGV" },
  16: { mnemonic: "#MF", class: "fault", signal: "SIGFPE" },
  17: { mnemonic: "#AC", class: "fault", signal: "SIGBUS" },
  18: { mnemonic: "#MC", class: "abort", signal: "SIGBUS" },
  19: { mnemonic: "#XM", class: "fault", signal: "SIGFPE" },
  21: { mnemonic: "#CP", class: "fault", signal: "SIGSEGV" },
} as const satisfies Record<number, ExceptionFacts>;

export type ExceptionVector = keyof typeof EXCEPTIONS;
export type ExceptionMnemonic = (typeof EXCEPTIONS)[ExceptionVector]["mnemonic"];

/** A set of exceptions: bit n is vector n. */
export type ExceptionSet = number;

const VECTOR_OF = new Map<ExceptionMnemonic, ExceptionVector>(
  Object.entries(EXCEPTIONS).map(([vector, facts]) => [facts.mnemonic, Number(vector) as ExceptionVector]),
);

export function exceptionSet(...mnemonics: readonly ExceptionMnemonic[]): ExceptionSet {
  let set = 0;
  // The map holds every mnemonic that the type has.
  for (const mnemonic of mnemonics) set |= 1 << (VECTOR_OF.get(mnemonic) as ExceptionVector);
  return set;
}

/** The mnemonics in a set, in the order of their vectors. */
export function exceptionNames(set: ExceptionSet): readonly ExceptionMnemonic[] {
  return [...VECTOR_OF].filter(([, vector]) => (set & (1 << vector)) !== 0).map(([mnemonic]) => mnemonic);
}

/** Where the program counter stands when a signal is the instruction's own doing. */
export type RaisedAs = "fault" | "trap";

/**
 * `either`: the program counter itself must tell. `int1` is intercepted by KVM on AMD's processors, and given
 * to the guest again with the program counter at it; everywhere else it is behind.
 */
export type Standing = RaisedAs | "either";

interface SignalSource {
  readonly signal: string;
  /** Values of `si_code` that the kernel gives it; a program may still send the same to itself. */
  readonly codes: readonly number[];
  /** Exceptions behind it; 0: a system call did it (seccomp, syscall user dispatch). */
  readonly exceptions: ExceptionSet;
  readonly as: Standing;
}

const SI_KERNEL = 0x80;

/**
 * Which exceptions hide behind a signal and its `si_code`.
 * Linux include/uapi/asm-generic/siginfo.h, arch/x86/kernel/traps.c, arch/x86/mm/fault.c.
 */
const SIGNAL_SOURCES: readonly SignalSource[] = [
  // SEGV_MAPERR, SEGV_ACCERR, SEGV_BNDERR, SEGV_PKUERR, SEGV_ACCADI … are all page faults on x86, SEGV_BNDERR is #BR.
  { signal: "SIGSEGV", codes: [1, 2, 4], exceptions: exceptionSet("#PF"), as: "fault" },
  { signal: "SIGSEGV", codes: [3], exceptions: exceptionSet("#BR"), as: "fault" },
  { signal: "SIGSEGV", codes: [10], exceptions: exceptionSet("#CP"), as: "fault" },
  { signal: "SIGSEGV", codes: [SI_KERNEL], exceptions: exceptionSet("#GP", "#TS", "#BR"), as: "fault" },
  { signal: "SIGSEGV", codes: [SI_KERNEL], exceptions: exceptionSet("#OF"), as: "trap" },
  { signal: "SIGBUS", codes: [1], exceptions: exceptionSet("#AC"), as: "fault" },
  // BUS_ADRERR: past the end of a file; BUS_MCEERR_AR: poisoned memory that was being read.
  { signal: "SIGBUS", codes: [2, 4], exceptions: exceptionSet("#PF"), as: "fault" },
  { signal: "SIGBUS", codes: [SI_KERNEL], exceptions: exceptionSet("#SS", "#NP"), as: "fault" },
  { signal: "SIGFPE", codes: [1], exceptions: exceptionSet("#DE"), as: "fault" },
  // FPE_FLTDIV … FPE_FLTSUB, FPE_FLTUNK; a kernel that finds no reason in the status word says 0 or FPE_FLTUNK.
  { signal: "SIGFPE", codes: [3, 4, 5, 6, 7, 8, 14], exceptions: exceptionSet("#MF", "#XM"), as: "fault" },
  { signal: "SIGILL", codes: [2], exceptions: exceptionSet("#UD"), as: "fault" },
  { signal: "SIGTRAP", codes: [SI_KERNEL], exceptions: exceptionSet("#BP"), as: "trap" },
  // int1: TRAP_BRKPT in older kernels, TRAP_HWBKPT or TRAP_TRACE in newer ones.
  { signal: "SIGTRAP", codes: [1, 2, 4], exceptions: exceptionSet("#DB"), as: "either" },
  // SYS_SECCOMP, SYS_USER_DISPATCH.
  { signal: "SIGSYS", codes: [1, 2], exceptions: 0, as: "trap" },
];

/** What {@link mayHaveRaised} needs to know of an instruction; see InstructionFacts. */
export interface Raiser {
  readonly raises: ExceptionSet;
  readonly isSystemCall: boolean;
}

/**
 * Whether an instruction can have raised a signal by itself, and where the program counter then
 * stands: `fault` at the instruction, `trap` behind it. It says what is possible, not what was:
 * a program can send itself any signal with any `si_code`, so the caller also looks where the
 * program counter is (a fault: at the first byte; a trap: behind).
 *
 * @param signal `"SIGSEGV"`
 * @param code   `si_code`
 * @returns undefined where this signal must have come from elsewhere
 */
export function mayHaveRaised(signal: string, code: number, instruction: Raiser): Standing | undefined {
  for (const source of SIGNAL_SOURCES) {
    if (source.signal !== signal || !source.codes.includes(code)) continue;
    if (source.exceptions === 0 ? instruction.isSystemCall : (source.exceptions & instruction.raises) !== 0)
      return source.as;
  }
  return undefined;
}
