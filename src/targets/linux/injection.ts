import { type Address, formatAddress, offsetBy } from "../../base/address.js";
import { registerIndex } from "../../arch/x86_64/registers.js";
import { ProbeRefused, TargetGone } from "../../base/errors.js";
import type { Mapping } from "../target.js";
import { ERRNO, SYS, SharedBytes, errorName, systemCall4 } from "./kernel.js";
import { readStatus } from "./process-files.js";
import { PTRACE, PTRACE_EVENT, WAIT_OPTIONS, ptrace } from "./ptrace.js";
import { SIG, SIGINFO_BYTES, isStopSignal } from "./signals.js";
import { REGISTER_BYTES, type Thread } from "./threads.js";
import type { Tracer } from "./tracer.js";
import { isStopped, stopEvent, stopSignal } from "./wait-status.js";

const PAGE = 4096;
const SYSCALL_INSTRUCTION = [0x0f, 0x05] as const;
const NO_RESTART = 2n ** 64n - 1n;
const TRAP_FLAG = 0x100n;

const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x100022;

const saved = new SharedBytes(REGISTER_BYTES);
const changed = new SharedBytes(REGISTER_BYTES);
const savedWords = new BigUint64Array(saved.buffer, 0, REGISTER_BYTES / 8);
const words = new BigUint64Array(changed.buffer, 0, REGISTER_BYTES / 8);
const siginfo = new SharedBytes(SIGINFO_BYTES);
const mask = new SharedBytes(8);
/** All but SIGTRAP, which the step raises: blocked, the kernel would reset its disposition. */
const everySignal = new SharedBytes(8);
everySignal.view.setBigUint64(0, ~(1n << BigInt(SIG.TRAP - 1)) & (2n ** 64n - 1n), true);
const status = new SharedBytes(8);

/**
 * Maps executable memory within ±2 GiB of `near`, by an mmap that `thread` is made to call.
 * @throws ProbeRefused `"seccomp"`, `"no-room"`
 * @throws TargetGone   the thread was killed meanwhile
 */
export function mapNear(tracer: Tracer, thread: Thread, near: Address, length: number): Address {
  const size = Math.ceil(length / PAGE) * PAGE;
  refuseSeccomp(thread, near);
  let mappings = thread.space.memory.mappings();
  for (let attempt = 0; attempt < 4; attempt++) {
    const at = chooseRoom(mappings, near, size);
    if (at === undefined) break;
    const map = (): number =>
      callInTarget(tracer, thread, near, SYS.mmap, [
        at,
        size,
        PROT_READ_EXEC,
        MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE,
        -1,
        0,
      ]);
    let result = map();
    if (result === -ERRNO.ENOMEM) result = beyondAddressSpaceLimit(thread, map) ?? result;
    if (result === at) return at;
    // Kernels before 4.17 take the flag for a hint and map elsewhere.
    if (result >= 0) callInTarget(tracer, thread, near, SYS.munmap, [result, size]);
    else if (result !== -ERRNO.EEXIST)
      throw new ProbeRefused(near, "no-room", `the program cannot map memory for it: ${errorName(result)}`);
    // Another thread was faster: look again.
    mappings = thread.space.memory.mappings();
  }
  throw new ProbeRefused(near, "no-room", `no free addresses within 2 GiB of ${formatAddress(near)}`);
}

const RLIMIT_AS = 9;
const UNLIMITED = 2n ** 64n - 1n;
const formerLimit = new SharedBytes(16); // struct rlimit64: soft, hard
const raisedLimit = new SharedBytes(16);

/**
 * A program at its address-space limit is a damaged environment like others: the limit is lifted
 * while it maps our page, as far as we may, and put back.
 * @returns what `body` gave; undefined where there is no limit or it cannot be lifted
 */
function beyondAddressSpaceLimit(thread: Thread, body: () => number): number | undefined {
  const { id } = thread;
  if (systemCall4(SYS.prlimit64, id, RLIMIT_AS, 0, formerLimit.address) !== 0) return undefined;
  const hard = formerLimit.view.getBigUint64(8, true);
  if (formerLimit.view.getBigUint64(0, true) === UNLIMITED) return undefined;
  // The hard limit too where we are privileged; else up to it.
  const raised = [UNLIMITED, hard].some((limit) => {
    raisedLimit.view.setBigUint64(0, limit, true);
    raisedLimit.view.setBigUint64(8, limit, true);
    return systemCall4(SYS.prlimit64, id, RLIMIT_AS, raisedLimit.address, 0) === 0;
  });
  if (!raised) return undefined;
  try {
    return body();
  } finally {
    systemCall4(SYS.prlimit64, id, RLIMIT_AS, formerLimit.address, 0);
  }
}

/** Unmaps what {@link mapNear} mapped. @throws as mapNear */
export function unmap(tracer: Tracer, thread: Thread, at: Address, length: number): void {
  refuseSeccomp(thread, at);
  const size = Math.ceil(length / PAGE) * PAGE;
  const result = callInTarget(tracer, thread, at, SYS.munmap, [at, size]);
  if (result < 0) throw new ProbeRefused(at, "unmap", `munmap in the program failed: ${errorName(result)}`);
}

/** A thread under a seccomp filter could be killed by a call that it would not make itself. */
export function refuseSeccomp(thread: Thread, at: Address): void {
  const mode = readStatus(thread.id).get("Seccomp");
  if (mode !== undefined && mode !== "0")
    throw new ProbeRefused(
      at,
      "seccomp",
      `thread ${thread.id} is under a seccomp filter and must not be made to call the kernel`,
    );
}

/** Displacements are signed 32 bits; what is mapped must be reachable from all of a text around `near`. */
const REACH = 2 ** 31 - 64 * 2 ** 20;
/** How far from its neighbours: below libraries the kernel maps top-down, above the heap grows. */
const PREFERRED_DISTANCE = 2 ** 30;
const LOWEST = 0x10000; // vm.mmap_min_addr

/**
 * A free place. Not beside what is mapped, if there is a choice: the addresses that the program's
 * own mmap and brk get should stay what they are.
 */
function chooseRoom(mappings: readonly Mapping[], near: Address, size: number): Address | undefined {
  const low = Math.max(LOWEST, near - REACH);
  const high = Math.min(2 ** 47 - PAGE, near + REACH) - size;
  const wishes = [near - PREFERRED_DISTANCE, near - REACH, near + REACH - size];
  let best: number | undefined;
  let bestDistance = Infinity;
  let gapStart = 0;
  for (const next of [...mappings.filter((mapping) => mapping.start >= 0), undefined]) {
    const from = Math.max(low, gapStart);
    const to = Math.min(high, next === undefined ? high : next.start - size);
    gapStart = next?.end ?? gapStart;
    if (from > to) continue;
    for (const [rank, wish] of wishes.entries()) {
      const at = Math.floor(Math.min(Math.max(wish, from), to) / PAGE) * PAGE;
      const distance = Math.abs(at - wish) + rank * REACH;
      if (at < from || distance >= bestDistance) continue;
      best = at;
      bestDistance = distance;
    }
  }
  return best as Address | undefined;
}

/**
 * Makes a thread that is stopped in user mode do one system call, and puts everything back.
 * Its signals are blocked meanwhile and stay pending.
 * @returns the result, `-errno` on failure
 */
export function callInTarget(
  tracer: Tracer,
  thread: Thread,
  near: Address,
  number: number,
  args: readonly number[],
): number {
  const at = systemCallInstruction(thread, near);
  const id = thread.id;
  tracer.check(thread, ptrace(PTRACE.GETREGS, id, 0, saved.address));
  tracer.check(thread, ptrace(PTRACE.GETSIGMASK, id, 8, mask.address));
  // What `deliver` is to deliver afterwards; absent where the stop is not one of a signal.
  const hadSignal = ptrace(PTRACE.GETSIGINFO, id, 0, siginfo.address) === 0 && thread.pendingSignal !== 0;
  words.set(savedWords);
  for (const [index, name] of (["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const).entries())
    words[registerIndex(name)] = BigInt.asUintN(64, BigInt(args[index] ?? 0));
  words[registerIndex("rip")] = BigInt(at);
  words[registerIndex("rax")] = BigInt(number);
  // A system call that was interrupted must not be restarted now.
  words[registerIndex("orig_rax")] = NO_RESTART;
  words[registerIndex("eflags")] = (savedWords[registerIndex("eflags")] as bigint) & ~TRAP_FLAG; // in the table
  let listens = thread.groupStopped;
  let stopAgain: boolean;
  tracer.check(thread, ptrace(PTRACE.SETSIGMASK, id, 8, everySignal.address));
  let result: number;
  try {
    tracer.check(thread, ptrace(PTRACE.SETREGS, id, 0, changed.address));
    const met = stepOver(tracer, thread, at);
    listens ||= met.groupStop;
    stopAgain = met.stopSignal;
    tracer.check(thread, ptrace(PTRACE.GETREGS, id, 0, changed.address));
    result = Number(BigInt.asIntN(64, words[registerIndex("rax")] as bigint)); // in the table
  } finally {
    // ESRCH, where it was killed, changes nothing any more.
    ptrace(PTRACE.SETREGS, id, 0, saved.address);
    ptrace(PTRACE.SETSIGMASK, id, 8, mask.address);
  }
  // The kernel takes the details of a signal to be delivered from the stop that is left.
  if (hadSignal) tracer.check(thread, ptrace(PTRACE.SETSIGINFO, id, 0, siginfo.address));
  if (stopAgain) systemCall4(SYS.tgkill, thread.process, id, SIG.STOP, 0);
  if (listens) {
    // The process is stopped by job control: have the thread fall in again as soon as it goes on.
    thread.groupStopped = false;
    ptrace(PTRACE.INTERRUPT, id);
  }
  return result;
}

interface Met {
  /** Job control wants the thread stopped. */
  readonly groupStop: boolean;
  /** SIGSTOP came, the one signal that cannot be blocked: it is to be sent again. */
  readonly stopSignal: boolean;
}

/** Steps the thread over the `syscall` at `at`. */
function stepOver(tracer: Tracer, thread: Thread, at: Address): Met {
  let groupStop = false;
  let stopSignalMet = false;
  for (;;) {
    tracer.check(thread, ptrace(PTRACE.SINGLESTEP, thread.id, 0, 0));
    let waited: number;
    do waited = systemCall4(SYS.wait4, thread.id, status.address, WAIT_OPTIONS, 0);
    while (waited === -ERRNO.EINTR);
    const value = status.words[0] as number; // 8 bytes long
    if (waited < 0 || !isStopped(value) || stopEvent(value) === PTRACE_EVENT.EXIT) {
      thread.stopped = false;
      if (waited > 0) tracer.pending.push(thread.id, value);
      throw new TargetGone(`thread ${thread.id} is gone`);
    }
    const signal = stopSignal(value);
    if (stopEvent(value) === PTRACE_EVENT.STOP) groupStop ||= isStopSignal(signal);
    else if (signal === SIG.STOP) stopSignalMet = true;
    tracer.check(thread, ptrace(PTRACE.GETREGS, thread.id, 0, changed.address));
    if (words[registerIndex("rip")] === BigInt(at + SYSCALL_INSTRUCTION.length))
      return { groupStop, stopSignal: stopSignalMet };
  }
}

/** Finds a `syscall` instruction: the vDSO has one, so have the C library and the dynamic linker. */
function systemCallInstruction(thread: Thread, near: Address): Address {
  const { space } = thread;
  const two = new Uint8Array(2);
  const known = space.systemCallInstruction;
  // It may have been unmapped, or a breakpoint may have been put on it.
  if (known !== undefined && space.memory.readSome(known, two) === 2 && isSystemCall(two, 0)) return known;
  const executable = space.memory.mappings().filter((mapping) => mapping.executable && mapping.start >= 0);
  executable.sort((a, b) => Number(b.path === "[vdso]") - Number(a.path === "[vdso]"));
  const buffer = new Uint8Array(16 * PAGE);
  for (const mapping of executable) {
    for (let start = mapping.start; start < mapping.end; start = offsetBy(start, buffer.length - 1)) {
      const part = buffer.subarray(0, Math.min(buffer.length, mapping.end - start));
      const length = space.memory.readSome(start, part);
      for (let i = 0; i + 1 < length; i++) {
        if (!isSystemCall(buffer, i)) continue;
        space.systemCallInstruction = offsetBy(start, i);
        return space.systemCallInstruction;
      }
      if (length < part.length) break;
    }
  }
  throw new ProbeRefused(
    near,
    "no-system-call",
    "the program has no syscall instruction to borrow for mapping memory",
  );
}

function isSystemCall(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === SYSCALL_INSTRUCTION[0] && bytes[at + 1] === SYSCALL_INSTRUCTION[1];
}
