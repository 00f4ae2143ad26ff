import os from "node:os";

/**
 * Signals as the protocol numbers them, whatever the target's own numbers are. GDB manual, "Protocol
 * Basics"; the numbers are those of include/gdb/signals.def, which has its own order.
 */
// prettier-ignore
const FIRST = [
  "0", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGEMT", "SIGFPE", "SIGKILL",
  "SIGBUS", "SIGSEGV", "SIGSYS", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGURG", "SIGSTOP", "SIGTSTP", "SIGCONT",
  "SIGCHLD", "SIGTTIN", "SIGTTOU", "SIGIO", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGLOST",
  "SIGUSR1", "SIGUSR2", "SIGPWR", "SIGPOLL",
] as const;

/** GDB's number of Linux's real-time signal 33; 34 … 63 follow. */
const REALTIME_33 = 45;
const REALTIME_32 = 77;
const REALTIME_64 = 78;

export const STUB_SIGNAL = { none: 0, interrupt: 2, trap: 5 } as const;

/** Linux's number for GDB's. @returns undefined where Linux has no such signal */
export function linuxSignal(number: number): number | undefined {
  const name = FIRST[number];
  if (name === undefined) return realtimeOf(number);
  return (os.constants.signals as Readonly<Record<string, number>>)[name];
}

function realtimeOf(number: number): number | undefined {
  if (number >= REALTIME_33 && number < REALTIME_32 - 1) return number - REALTIME_33 + 33;
  if (number === REALTIME_32) return 32;
  return number === REALTIME_64 ? 64 : undefined;
}
