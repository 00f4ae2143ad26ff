import { INT3 } from "../../arch/x86_64/machine-code.js";
import { MAX_INSTRUCTION_LENGTH } from "../../arch/x86_64/decode.js";
import { registerIndex } from "../../arch/x86_64/registers.js";
import { type Address, offsetBy } from "../../base/address.js";
import { SharedBytes } from "../system-calls.js";
import { waitsForTrap } from "./mask-calls.js";
import { PTRACE, ptrace } from "./ptrace.js";
import { restartInterrupted } from "./restart.js";
import { repairAction } from "./sheltering.js";
import { SI, SIG, SIGINFO_BYTES, codeOf } from "../signals.js";
import { waitForStop } from "./thread-wait.js";
import type { Thread } from "./threads.js";
import type { Tracing } from "./tracing.js";
import { TRAP_STOP } from "./wait-status.js";
import { holdTrapBack, setTrapBlocked } from "./trap-mask.js";

/** Offset of rip in `struct user`. sys/user.h. */
const RIP_OFFSET = 8 * registerIndex("rip");

/** The lower half of orig_rax, in 32-bit words. */
const ORIG_RAX_WORD = 2 * registerIndex("orig_rax");
const TRAP_FLAG = 0x100;

const word = new SharedBytes(8);
const byte = new Uint8Array(1);
/** Of a thread that is only looked at: the tracer's may be fetched already, for the thread whose turn it is. */
const siginfo = new SharedBytes(SIGINFO_BYTES);

/**
 * Whether the processor raised the SIGTRAP that a thread stands at: one that the thread sent itself may say
 * so too (rt_sigqueueinfo(2) lets it choose any `si_code`), but comes at the end of a system call. An exception
 * leaves -1 in orig_rax; a step over a system call leaves its number. Registers are fetched.
 */
export function isRaised(thread: Thread): boolean {
  return thread.words[ORIG_RAX_WORD] === -1 || (thread.registers.eflags & TRAP_FLAG) !== 0;
}

/** The same of a thread whose registers are not fetched, at a stop with the code of a breakpoint. */
function wasException(thread: Thread): boolean {
  return (
    ptrace(PTRACE.PEEKUSER, thread.id, 4 * ORIG_RAX_WORD, word.address) === 0 &&
    word.view.getInt32(0, true) === -1
  );
}

/** Sets a thread that stands behind a breakpoint before it, in the kernel only: should we die, it comes there again. */
export function setBefore(thread: Thread): void {
  if (thread.rewound || ptrace(PTRACE.PEEKUSER, thread.id, RIP_OFFSET, word.address) !== 0) return;
  const before = Number(word.view.getBigInt64(0, true)) - 1;
  if (ptrace(PTRACE.POKEUSER, thread.id, RIP_OFFSET, before) !== 0) return;
  thread.rewound = true;
  if (thread.registersValid) thread.registers.dirty = true;
}

/**
 * The stop of a thread is about to be taken, and will be dealt with later. Behind a breakpoint it is set
 * before it again, as far as the kernel knows: should we die, it comes there once more.
 */
export function rewindIfTrapped(thread: Thread | undefined, status: number): void {
  if (thread === undefined || status !== TRAP_STOP) return;
  if (ptrace(PTRACE.GETSIGINFO, thread.id, 0, siginfo.address) !== 0) return;
  if (codeOf(siginfo.view) === SI.KERNEL && wasException(thread)) setBefore(thread);
}

/**
 * Whether the shelter could take a thread that goes on, were we to die before it does, for one that stands
 * behind a breakpoint: the signal of its stop is delivered then, with its new registers. Slots are known to the
 * shelter, and what is before a place within the instruction, or right behind it, is no breakpoint but ours.
 */
export function mayBeMistaken({ trapped, rewound, registers, trappedAt, space }: Thread): boolean {
  const { shelter } = space;
  if (!trapped || rewound || shelter === undefined) return false;
  const { pc } = registers;
  if (shelter.knows((pc - 1) as Address)) return true;
  return (pc < trappedAt || pc >= trappedAt + MAX_INSTRUCTION_LENGTH) && !shelter.isSlot(pc);
}

/** What the kernel did to force a SIGTRAP on a thread that blocks it is undone. Registers are fetched. */
export function repairTrap(tracer: Tracing, thread: Thread, trapped: boolean): void {
  tracer.fetchRegisters(thread);
  holdTrapBack(thread);
  thread.trapped = trapped;
  repairAction(tracer, thread);
}

/**
 * A SIGTRAP came that was sent. Where the program blocks it, and the kernel does not, it is blocked
 * in earnest: delivered now, it goes back to where it was, and is pending. Registers are fetched.
 */
export function goesBack(thread: Thread): boolean {
  if (!thread.mask.held || waitsForTrap(thread)) return false;
  setTrapBlocked(thread, true);
  thread.mask.held = false;
  restartInterrupted(thread.id, thread.registers);
  return true;
}

/**
 * Whether a SIGTRAP that was sent stands for a breakpoint's: a thread that blocks the signal in
 * earnest has one pending, and the kernel keeps one of a number only. Registers are fetched.
 */
export function standsForBreakpoint(thread: Thread): boolean {
  if (!thread.mask.inEarnest) return false;
  const at = offsetBy(thread.registers.pc, -1);
  return thread.space.memory.readSome(at, byte) === 1 && byte[0] === INT3;
}

/**
 * Puts such a signal back: blocked again it goes to where it was, details and all, if it is
 * delivered now; the thread stops again before it does anything else.
 */
export function putPendingBack(tracer: Tracing, thread: Thread): void {
  setTrapBlocked(thread, true);
  tracer.check(thread, ptrace(PTRACE.INTERRUPT, thread.id));
  tracer.goes(thread);
  tracer.check(thread, ptrace(PTRACE.CONT, thread.id, 0, SIG.TRAP));
  waitForStop(tracer, thread);
  thread.pendingSignal = 0;
  thread.trapped = true;
  setBefore(thread);
  repairAction(tracer, thread);
}
