import { type Address, offsetBy } from "../../base/address.js";
import { MemoryFault, ProbeRefused } from "../../base/errors.js";
import type { DueSignal } from "../target.js";
import { dispositionOf } from "./disposition.js";
import { systemCallIn } from "./injection.js";
import { SYS } from "../system-calls.js";
import { readStatus } from "./process-files.js";
import { LAST_SIGNAL, SIG, signalName } from "../signals.js";
import type { Thread } from "./threads.js";
import type { Tracer } from "./tracer.js";

/** The kernel takes these first, lowest number first. kernel/signal.c, SYNCHRONOUS_MASK. */
const SYNCHRONOUS: readonly number[] = [SIG.ILL, SIG.TRAP, SIG.BUS, SIG.FPE, SIG.SEGV, SIG.SYS];
const REST = Array.from({ length: LAST_SIGNAL }, (_, index) => index + 1).filter(
  (number) => !SYNCHRONOUS.includes(number),
);

/**
 * The signal that a thread at the exit stop of a system call will act upon first; undefined where it
 * returns to its program, or begins the call again, undisturbed. Those that are ignored or only stop
 * it are no matter: afterwards the call begins again.
 *
 * The thread's own signals come before those of its process. kernel/signal.c, dequeue_signal.
 */
export function dueSignal(tracer: Tracer, thread: Thread): DueSignal | undefined {
  const status = readStatus(thread.id);
  const open = ~status.mask("SigBlk");
  for (const field of ["SigPnd", "ShdPnd"]) {
    const pending = status.mask(field) & open;
    if (pending === 0n) continue;
    for (const number of [...SYNCHRONOUS, ...REST]) {
      if ((pending & (1n << BigInt(number - 1))) === 0n) continue;
      const name = signalName(number);
      const signal = { number, name, code: 0, address: undefined, synchronous: false };
      const disposition = dispositionOf(thread, signal);
      if (disposition === "fatal") return { disposition };
      if (disposition === "handled") return { disposition, restarts: () => restarts(tracer, thread, number) };
    }
  }
  return undefined;
}

/** `struct kernel_sigaction`: handler, flags, restorer, mask. */
const SIGACTION_BYTES = 32;
const FLAGS = 8;
const SA_RESTART = 0x1000_0000n;
const SIGSET_BYTES = 8;
/** Below the stack pointer a function may keep this much. System V ABI, AMD64 supplement, 3.2.2. */
const RED_ZONE = 128;

/**
 * Whether the handler of a signal was installed with SA_RESTART. Nothing in /proc tells: the thread is
 * made to ask, with an answer below what it keeps on its stack, which gets its bytes back.
 */
function restarts(tracer: Tracer, thread: Thread, signal: number): boolean | undefined {
  const { memory } = thread.space;
  tracer.fetchRegisters(thread);
  const sp = thread.registers.sp;
  const at = offsetBy(sp, -((sp & 7) + RED_ZONE + SIGACTION_BYTES));
  const answer = new Uint8Array(SIGACTION_BYTES);
  const before = new Uint8Array(SIGACTION_BYTES);
  try {
    memory.read(at, before);
    const result = askForAction(tracer, thread, signal, at);
    memory.read(at, answer);
    memory.write(at, before);
    if (result !== 0) return undefined;
  } catch (error) {
    // No stack to speak of, or a thread that must not be made to call: nobody can tell.
    if (error instanceof MemoryFault || error instanceof ProbeRefused) return undefined;
    throw error;
  }
  return (new DataView(answer.buffer).getBigUint64(FLAGS, true) & SA_RESTART) !== 0n;
}

function askForAction(tracer: Tracer, thread: Thread, signal: number, at: Address): number {
  return systemCallIn(tracer, thread, thread.registers.pc, SYS.rt_sigaction, [signal, 0, at, SIGSET_BYTES]);
}
