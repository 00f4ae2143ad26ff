import { SIG } from "../signals.js";
import type { ExitStatus } from "../target.js";
import { signalName } from "../signals.js";

/** Macros of wait(2), on the plain number; bits as include/uapi/linux/wait.h and ptrace(2) say. */
export const isStopped = (status: number): boolean => (status & 0xff) === 0x7f;
const isExited = (status: number): boolean => (status & 0x7f) === 0;
export const stopSignal = (status: number): number => (status >> 8) & 0xff;
export const stopEvent = (status: number): number => (status >> 16) & 0xff;

/** How a process ended, from the status of wait4 of its leader. */
export function exitStatus(status: number): ExitStatus {
  if (isExited(status)) return { kind: "exited", status: (status >> 8) & 0xff };
  const number = status & 0x7f;
  return { kind: "killed", signal: signalName(number), number, coreDumped: (status & 0x80) !== 0 };
}

/** Of a thread that stopped to receive a SIGTRAP, and for no event of ptrace. */
export const TRAP_STOP = (SIG.TRAP << 8) | 0x7f;
