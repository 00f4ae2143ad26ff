import { SYS, systemCall4 } from "../system-calls.js";

/** Requests. ptrace(2); include/uapi/linux/ptrace.h, arch/x86/include/uapi/asm/ptrace-abi.h. */
export const PTRACE = {
  PEEKUSER: 3,
  POKEUSER: 6,
  CONT: 7,
  SINGLESTEP: 9,
  GETREGS: 12,
  SETREGS: 13,
  DETACH: 17,
  SYSCALL: 24,
  SETOPTIONS: 0x4200,
  GETEVENTMSG: 0x4201,
  GETSIGINFO: 0x4202,
  SETSIGINFO: 0x4203,
  SEIZE: 0x4206,
  INTERRUPT: 0x4207,
  LISTEN: 0x4208,
  PEEKSIGINFO: 0x4209,
  GETSIGMASK: 0x420a,
  SETSIGMASK: 0x420b,
  /** Gives one filter of a thread by its index. Needs CAP_SYS_ADMIN. */
  SECCOMP_GET_FILTER: 0x420c,
} as const;

/** Options of PTRACE_SEIZE. ptrace(2), PTRACE_SETOPTIONS. */
const PTRACE_O = {
  TRACESYSGOOD: 0x01,
  TRACEFORK: 0x02,
  TRACEVFORK: 0x04,
  TRACECLONE: 0x08,
  TRACEEXEC: 0x10,
  TRACEEXIT: 0x40,
  SUSPEND_SECCOMP: 0x20_0000,
} as const;

/** What every thread is seized with. Never EXITKILL: when we die, targets live on. */
export const SEIZE_OPTIONS =
  PTRACE_O.TRACESYSGOOD |
  PTRACE_O.TRACEFORK |
  PTRACE_O.TRACEVFORK |
  PTRACE_O.TRACECLONE |
  PTRACE_O.TRACEEXEC |
  PTRACE_O.TRACEEXIT;

/** As {@link SEIZE_OPTIONS}, and the thread's seccomp filters are not asked. Needs CAP_SYS_ADMIN. */
export const SUSPENDING_OPTIONS = SEIZE_OPTIONS | PTRACE_O.SUSPEND_SECCOMP;

/** Event numbers, bits 16 … 23 of a stop's wait status. ptrace(2), PTRACE_SETOPTIONS. */
export const PTRACE_EVENT = {
  NONE: 0,
  FORK: 1,
  VFORK: 2,
  CLONE: 3,
  EXEC: 4,
  EXIT: 6,
  STOP: 128,
} as const;

/** Bit that TRACESYSGOOD sets in the signal number of system-call stops. */
export const SYSTEM_CALL_STOP = 0x80;

/** `__WALL | __WNOTHREAD`: clone children too, but only of the calling thread. wait(2). */
export const WAIT_OPTIONS = 0x40000000 | 0x20000000;

/** One ptrace request. @returns the kernel's result: 0 or `-errno` */
export function ptrace(request: number, thread: number, address = 0, data = 0): number {
  return systemCall4(SYS.ptrace, request, thread, address, data);
}
