import { type Address, offsetBy } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import { registerIndex } from "../../arch/x86_64/registers.js";
import { ERRNO, SYS, SharedBytes, systemCall4 } from "../system-calls.js";
import { PTRACE, PTRACE_EVENT, SYSTEM_CALL_STOP, ptrace } from "./ptrace.js";
import type { FilteredCall } from "./seccomp.js";
import { SIG, isStopSignal } from "../signals.js";
import { REGISTER_BYTES, type Thread } from "./threads.js";
import { waitForStopAtMost } from "./thread-wait.js";
import type { Tracing } from "./tracing.js";
import { stopEvent, stopSignal } from "./wait-status.js";

/*
 * A thread that is made to do a system call does it in a stub that puts everything back by itself,
 * mask and registers, and goes on where the thread was. Mostly it never comes to that: it is
 * stopped behind the call, and put back from here. But should the tracer die in between, the
 * program goes on as if nothing had been.
 */

/** `syscall`, then rt_sigprocmask(SIG_SETMASK), then all registers that were changed, and a jump. */
// prettier-ignore
const STUB = Uint8Array.of(
  0x0f, 0x05,                                // syscall
  0xb8, 0x0e, 0x00, 0x00, 0x00,              // mov eax, 14
  0xbf, 0x02, 0x00, 0x00, 0x00,              // mov edi, 2
  0x48, 0x8d, 0x35, 0x55, 0x00, 0x00, 0x00,  // lea rsi, [rip+mask]
  0x31, 0xd2,                                // xor edx, edx
  0x41, 0xba, 0x08, 0x00, 0x00, 0x00,        // mov r10d, 8
  0x0f, 0x05,                                // syscall
  0x48, 0x8b, 0x05, 0x4c, 0x00, 0x00, 0x00,  // mov rax, [rip+values]
  0x48, 0x8b, 0x0d, 0x4d, 0x00, 0x00, 0x00,  // mov rcx, [rip+values+8]
  0x48, 0x8b, 0x15, 0x4e, 0x00, 0x00, 0x00,  // mov rdx, …
  0x48, 0x8b, 0x35, 0x4f, 0x00, 0x00, 0x00,  // mov rsi
  0x48, 0x8b, 0x3d, 0x50, 0x00, 0x00, 0x00,  // mov rdi
  0x4c, 0x8b, 0x05, 0x51, 0x00, 0x00, 0x00,  // mov r8
  0x4c, 0x8b, 0x0d, 0x52, 0x00, 0x00, 0x00,  // mov r9
  0x4c, 0x8b, 0x15, 0x53, 0x00, 0x00, 0x00,  // mov r10
  0x4c, 0x8b, 0x1d, 0x54, 0x00, 0x00, 0x00,  // mov r11
  0xff, 0x25, 0x56, 0x00, 0x00, 0x00,        // jmp [rip+values+72]
  0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
  // mask: 8 bytes, values: 10 × 8 bytes
);
const MASK_AT = 0x68;
const VALUES_AT = 0x70;
const STUB_VALUES = ["rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "rip"] as const;
const SYSCALL_LENGTH = 2;

/** Room that a stub takes. */
export const STUB_LENGTH = VALUES_AT + 8 * STUB_VALUES.length;

/** Behind the stub's second call. */
const SECOND_CALL_END = 0x1d;
const SIG_SETMASK = 2;
const SET_BYTES = 8;

/** The calls that a thread makes in a stub, as its seccomp filters see them. */
export function callsInStub(at: Address, number: number, args: readonly number[]): FilteredCall[] {
  const restoring = [SIG_SETMASK, offsetBy(at, MASK_AT), 0, SET_BYTES];
  return [
    { number, args, behind: offsetBy(at, SYSCALL_LENGTH) },
    { number: SYS.rt_sigprocmask, args: restoring, behind: offsetBy(at, SECOND_CALL_END) },
  ];
}

const ARGUMENTS = ["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const;
const NO_RESTART = 2n ** 64n - 1n;
const TRAP_FLAG = 0x100n;

/** Results by which the kernel knows an interrupted call that it begins again. include/linux/errno.h. */
const RESTARTED: ReadonlySet<bigint> = new Set([-512n, -513n, -514n]);
const RESTARTED_BY_BLOCK = -516n;

/** How long a thread may take to begin a call; milliseconds, of which it does not wait for a processor. */
const PATIENCE = 1000;
/** So long no other thread of the space is tried where one did not. */
const RESPITE = 2000;

const saved = new SharedBytes(REGISTER_BYTES);
const changed = new SharedBytes(REGISTER_BYTES);
const savedWords = new BigUint64Array(saved.buffer, 0, REGISTER_BYTES / 8);
const words = new BigUint64Array(changed.buffer, 0, REGISTER_BYTES / 8);
const mask = new SharedBytes(8);
const everySignal = new SharedBytes(8);
everySignal.bytes.fill(0xff);
const stub = new Uint8Array(STUB_LENGTH);
const stubView = new DataView(stub.buffer);

/**
 * Makes a stopped thread do one system call, and puts everything back. Its signals are blocked
 * meanwhile and stay pending; one that it stopped with, and that is to be delivered, becomes
 * pending too. Nothing here raises a SIGTRAP: what the program says about that signal stays.
 *
 * Afterwards the thread stands in a stop of no signal: `deliver` delivers nothing. A thread that
 * stood behind a breakpoint stands, as far as the kernel knows, before it: should the tracer die,
 * it comes there again.
 *
 * A thread in a frozen control group does not run. The call is not made then: EAGAIN. Where the freezer does
 * not even let it be stopped again (state D), it makes the call when it runs, by itself, as it would
 * without us.
 *
 * @param at where {@link STUB_LENGTH} bytes may be overwritten and executed
 * @returns the result, `-errno` on failure
 * @throws TargetGone it was killed meanwhile, or is out of reach until it runs
 */
export function callInTarget(
  tracer: Tracing,
  thread: Thread,
  at: Address,
  number: number,
  args: readonly number[],
): number {
  const id = thread.id;
  if (performance.now() < thread.space.unresponsiveUntil) return -ERRNO.EAGAIN;
  tracer.check(thread, ptrace(PTRACE.GETREGS, id, 0, saved.address));
  tracer.check(thread, ptrace(PTRACE.GETSIGMASK, id, 8, mask.address));
  if (thread.atCallEntry) {
    // The call that it was about to make is made afterwards.
    savedWords[RIP] = (savedWords[RIP] as bigint) - BigInt(SYSCALL_LENGTH); // in the table
    savedWords[RAX] = savedWords[ORIG_RAX] as bigint; // in the table
    savedWords[ORIG_RAX] = NO_RESTART;
  }
  if (thread.trapped) {
    if (!thread.rewound) savedWords[RIP] = (savedWords[RIP] as bigint) - 1n; // in the table
    thread.rewound = true;
    thread.pendingSignal = 0;
    // What is kept of the registers has the program counter behind the breakpoint, and is to be written back.
    tracer.fetchRegisters(thread);
    thread.registers.dirty = true;
  }
  fillStub();
  thread.space.memory.writeText(at, stub);
  words.set(savedWords);
  for (const [index, name] of ARGUMENTS.entries())
    words[registerIndex(name)] = BigInt.asUintN(64, BigInt(args[index] ?? 0));
  words[RIP] = BigInt(at);
  words[RAX] = BigInt(number);
  // A system call that was interrupted must not be restarted now.
  words[ORIG_RAX] = NO_RESTART;
  words[EFLAGS] = (savedWords[EFLAGS] as bigint) & ~TRAP_FLAG; // in the table
  // In this order: whatever comes between, the stub puts the mask back.
  tracer.check(thread, ptrace(PTRACE.SETREGS, id, 0, changed.address));
  tracer.check(thread, ptrace(PTRACE.SETSIGMASK, id, 8, everySignal.address));
  const met: Met = { groupStop: thread.groupStopped, stopSignal: false };
  let result: number;
  try {
    const made = passCall(tracer, thread, at, met);
    result = made ? Number(BigInt.asIntN(64, words[RAX])) : -ERRNO.EAGAIN;
  } finally {
    // ESRCH, where it was killed, changes nothing any more.
    ptrace(PTRACE.SETSIGMASK, id, 8, mask.address);
    ptrace(PTRACE.SETREGS, id, 0, saved.address);
  }
  thread.pendingSignal = 0;
  if (thread.atCallEntry) {
    // It stands before the instruction now, and what is kept of its registers is of before.
    thread.atCallEntry = false;
    thread.registersValid = false;
  }
  if (met.stopSignal) systemCall4(SYS.tgkill, thread.process, id, SIG.STOP, 0);
  if (met.groupStop) {
    // The process is stopped by job control: have the thread fall in again as soon as it goes on.
    thread.groupStopped = false;
    ptrace(PTRACE.INTERRUPT, id);
  }
  return result;
}

const RIP = registerIndex("rip");
const RAX = registerIndex("rax");
const ORIG_RAX = registerIndex("orig_rax");
const EFLAGS = registerIndex("eflags");

/** What the thread would be without us: at the call again, where the kernel would restart one. */
function fillStub(): void {
  stub.set(STUB);
  stubView.setBigUint64(MASK_AT, mask.view.getBigUint64(0, true), true);
  const result = BigInt.asIntN(64, savedWords[RAX] as bigint); // in the table
  const inCall = savedWords[ORIG_RAX] !== NO_RESTART;
  const restarts = inCall && (RESTARTED.has(result) || result === RESTARTED_BY_BLOCK);
  for (const [index, name] of STUB_VALUES.entries()) {
    let value = savedWords[registerIndex(name)] as bigint; // in the table
    if (restarts && name === "rip") value -= BigInt(SYSCALL_LENGTH);
    if (restarts && name === "rax")
      value = result === RESTARTED_BY_BLOCK ? BigInt(SYS.restart_syscall) : (savedWords[ORIG_RAX] as bigint);
    stubView.setBigUint64(VALUES_AT + 8 * index, value, true);
  }
}

interface Met {
  /** Job control wants the thread stopped. */
  groupStop: boolean;
  /** SIGSTOP came, the one signal that cannot be blocked: it is to be sent again. */
  stopSignal: boolean;
}

/**
 * Runs the thread to the entry of the call, then through it.
 *
 * @returns false where it does not run, and stands before the call again
 */
function passCall(tracer: Tracing, thread: Thread, at: Address, met: Met): boolean {
  // The signal to deliver is blocked now: it becomes pending again, details and all.
  let signal = thread.pendingSignal;
  tracer.goes(thread);
  const go = (request: number): "at-call" | "elsewhere" | "not-at-all" => {
    tracer.check(thread, ptrace(request, thread.id, 0, signal));
    signal = 0;
    const ran = waitForStopAtMost(tracer, thread, PATIENCE);
    const status = ran ?? stopAgain(tracer, thread);
    if (stopEvent(status) === PTRACE_EVENT.STOP) met.groupStop ||= isStopSignal(stopSignal(status));
    else if (stopSignal(status) === SIG.STOP) met.stopSignal = true;
    if (ran === undefined) return "not-at-all";
    return stopSignal(status) === (SIG.TRAP | SYSTEM_CALL_STOP) ? "at-call" : "elsewhere";
  };
  const behind = BigInt(offsetBy(at, SYSCALL_LENGTH));
  const isBehind = (): boolean => {
    tracer.check(thread, ptrace(PTRACE.GETREGS, thread.id, 0, changed.address));
    return words[RIP] === behind;
  };
  for (;;) {
    const where = go(PTRACE.SYSCALL);
    if (where === "not-at-all") return false;
    if (where === "at-call" && isBehind()) break;
  }
  tracer.check(thread, ptrace(PTRACE.INTERRUPT, thread.id));
  do go(PTRACE.CONT);
  while (!isBehind());
  return true;
}

/**
 * Stops a thread that does not run, as the new freezer lets us.
 *
 * @throws TargetGone it cannot be stopped
 */
function stopAgain(tracer: Tracing, thread: Thread): number {
  const { space } = thread;
  space.unresponsiveUntil = performance.now() + RESPITE;
  tracer.check(thread, ptrace(PTRACE.INTERRUPT, thread.id));
  const status = waitForStopAtMost(tracer, thread, PATIENCE);
  if (status !== undefined) return status;
  // It stands in the stub, which nobody else may use from now on.
  space.unresponsiveUntil = Infinity;
  thread.stopped = false;
  throw new TargetGone(`thread ${thread.id} does not run: it may be in a frozen control group`);
}
