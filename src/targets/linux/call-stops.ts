import { TargetGone } from "../../base/errors.js";
import { SYS, SharedBytes } from "../system-calls.js";
import { ptrace } from "./ptrace.js";
import type { Thread } from "./threads.js";
import type { Tracing } from "./tracing.js";

/** `struct ptrace_syscall_info`: op is the first byte, 1 entry, 2 exit. ptrace(2). */
const PTRACE_GET_SYSCALL_INFO = 0x420e;
const SYSCALL_INFO_BYTES = 88;
const SYSCALL_NONE = 0;
const SYSCALL_ENTRY = 1;

const information = new SharedBytes(SYSCALL_INFO_BYTES);
/** Which side of a system call a thread stands on. @throws TargetGone it is ending */
export function phaseOfCall(tracer: Tracing, thread: Thread): "entry" | "exit" {
  tracer.check(thread, ptrace(PTRACE_GET_SYSCALL_INFO, thread.id, SYSCALL_INFO_BYTES, information.address));
  const operation = information.bytes[0];
  if (operation === SYSCALL_NONE) throw new TargetGone(`thread ${thread.id} is ending`);
  return operation === SYSCALL_ENTRY ? "entry" : "exit";
}

/** Tells the watches of a thread of a call that it is about to make. Its registers are fetched. */
export function watchCall(thread: Thread, number: number): void {
  const { watches } = thread;
  if (watches?.active !== true) return;
  const { sp } = thread.registers;
  if (number !== SYS.rt_sigreturn) {
    watches.systemCall(sp);
    return;
  }
  watches.sigreturn(thread.space.memory, sp);
}
