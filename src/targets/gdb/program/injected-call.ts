import { type Address, formatAddress, offsetBy } from "../../../base/address.js";
import { ProbeRefused } from "../../../base/errors.js";
import { unlessGone } from "../../../base/gone.js";
import { chooseRoom } from "../../room.js";
import { ERRNO, errorName, SYS } from "../../system-calls.js";
import type { Mapping } from "../../target.js";
import type { StubMemory } from "./memory.js";
import type { ProgramThread } from "./threads.js";

const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x100022;
/** The instruction `syscall`. */
const SYSCALL = Uint8Array.of(0x0f, 0x05);
/** Text is searched for one so far; the C library has its first within that. */
const SEARCHED = 2 ** 20;
const NO_CALL = 2n ** 64n - 1n;

/** What this needs of the target. */
export interface Stepper {
  /**
   * Steps a stopped thread over one instruction, its registers written before. Whatever else happens
   * meanwhile is kept for later.
   *
   * @param before bytes of its registers as they are to be again
   * @throws TargetGone
   */
  stepOver(thread: ProgramThread, before: Uint8Array): void;
  /** Makes the stub's registers of a thread be what they are to be again, now. */
  putBack(thread: ProgramThread): void;
  memoryOf(thread: ProgramThread): StubMemory;
  /** Whether a filter of system calls could forbid one. */
  isFiltered(thread: ProgramThread): boolean;
}

/**
 * Maps executable memory within reach of `near`, by an mmap that a stopped thread is made to call.
 *
 * @throws ProbeRefused `"seccomp"`, `"no-room"`
 */
export function mapNear(target: Stepper, thread: ProgramThread, near: Address, length: number): Address {
  for (let attempt = 0; attempt < 4; attempt++) {
    const at = chooseRoom(target.memoryOf(thread).mappings(), near, length);
    if (at === undefined) break;
    const flags = MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE;
    const result = call(target, thread, near, SYS.mmap, [at, length, PROT_READ_EXEC, flags, -1, 0]);
    if (result === at) return at;
    // Kernels before 4.17 take the flag for a hint and map elsewhere.
    if (result >= 0) call(target, thread, near, SYS.munmap, [result, length]);
    else if (result !== -ERRNO.EEXIST)
      throw new ProbeRefused(near, "no-room", `the program cannot map memory for it: ${errorName(result)}`);
  }
  throw new ProbeRefused(near, "no-room", `no free addresses within 2 GiB of ${formatAddress(near)}`);
}

/** Unmaps what {@link mapNear} mapped. @throws ProbeRefused as mapNear */
export function unmap(target: Stepper, thread: ProgramThread, at: Address, length: number): void {
  const result = call(target, thread, at, SYS.munmap, [at, length]);
  if (result < 0) throw new ProbeRefused(at, "no-room", `munmap in the program failed: ${errorName(result)}`);
}

/** Makes a stopped thread do one system call. @returns the result, `-errno` on failure */
function call(
  target: Stepper,
  thread: ProgramThread,
  near: Address,
  number: number,
  args: readonly number[],
): number {
  if (target.isFiltered(thread))
    throw new ProbeRefused(
      near,
      "seccomp",
      `thread ${thread.id} is under a filter of system calls (seccomp)`,
    );
  const at = findSyscall(target.memoryOf(thread), near);
  const { registers } = thread;
  const before = registers.bytes.slice();
  const names = ["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const;
  for (const [index, name] of names.entries()) registers.write(name, BigInt(args[index] ?? 0));
  registers.write("rax", BigInt(number));
  // Else the kernel could take the thread for one that is to repeat a call.
  registers.write("orig_rax", NO_CALL);
  registers.pc = at;
  try {
    target.stepOver(thread, before);
    return Number(BigInt.asIntN(64, registers.read("rax")));
  } finally {
    registers.bytes.set(before);
    registers.dirty = true;
    unlessGone(() => {
      target.putBack(thread);
    });
  }
}

/** The vDSO has one on every kernel, and every C library has many. */
function findSyscall(memory: StubMemory, near: Address): Address {
  const mappings = memory.mappings().filter(isText);
  mappings.sort((a, b) => Number(b.path === "[vdso]") - Number(a.path === "[vdso]"));
  for (const mapping of mappings) {
    const bytes = Buffer.alloc(Math.min(SEARCHED, mapping.end - mapping.start));
    const length = memory.readSome(mapping.start, bytes);
    const found = bytes.subarray(0, length).indexOf(SYSCALL);
    if (found >= 0) return offsetBy(mapping.start, found);
  }
  throw new ProbeRefused(near, "no-room", "the program has no syscall instruction to map memory with");
}

function isText(mapping: Mapping): boolean {
  return mapping.executable && !mapping.writable && mapping.start >= 0 && mapping.path !== "";
}
