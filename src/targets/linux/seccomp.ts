import type { Address } from "../../base/address.js";
import { TargetGone } from "../../base/errors.js";
import { BPF_INSTRUCTION_BYTES, type BpfInstruction, decodeBpf, runBpf } from "./classic-bpf.js";
import { ERRNO, SharedBytes, errorName } from "../system-calls.js";
import { readStatus } from "./process-files.js";
import { PTRACE, SEIZE_OPTIONS, SUSPENDING_OPTIONS, ptrace } from "./ptrace.js";
import type { Thread } from "./threads.js";

/** Values of `Seccomp` in `/proc/TID/status`. proc_pid_status(5). */
const MODE = { none: "0", strict: "1", filter: "2" } as const;

/** What a filter may answer, a number's upper half. seccomp(2), include/uapi/linux/seccomp.h. */
const ACTIONS: ReadonlyMap<number, string> = new Map([
  [0x8000_0000, "kill the process"],
  [0x0000_0000, "kill the thread"],
  [0x0003_0000, "raise SIGSYS"],
  [0x0005_0000, "make it fail"],
  [0x7fc0_0000, "ask its supervisor"],
  [0x7ff0_0000, "ask its tracer"],
  [0x7ffc_0000, "log it"],
  [0x7fff_0000, "allow it"],
]);
const ACTION_MASK = 0xffff_0000;
const ALLOW = 0x7fff_0000;
const LOG = 0x7ffc_0000;
const KILL_PROCESS = 0x8000_0000;

/** `struct seccomp_data`: number, architecture, instruction pointer behind the call, six arguments. */
const DATA_BYTES = 64;
const ARCHITECTURE_AT = 4;
const INSTRUCTION_AT = 8;
const ARGUMENTS_AT = 16;
const AUDIT_ARCH_X86_64 = 0xc000_003e;

/** A system call as a filter sees it. */
export interface FilteredCall {
  readonly number: number;
  readonly args: readonly number[];
  /** Behind the `syscall` instruction. */
  readonly behind: Address;
}

/** What would become of a call in a thread. */
export type Verdict =
  | { readonly kind: "allowed" }
  /** @param why   a clause: `"its filter would …"` */
  | { readonly kind: "denied"; readonly why: string };

const ALLOWED: Verdict = { kind: "allowed" };

/**
 * What a set of filters answers to a call: all are asked, and the strictest answer counts.
 * kernel/seccomp.c, seccomp_run_filters.
 * @returns the answer; undefined where one of them cannot be told
 */
export function answerOf(
  filters: readonly (readonly BpfInstruction[])[],
  call: FilteredCall,
): number | undefined {
  const data = dataOf(call);
  let strictest = ALLOW;
  for (const filter of filters) {
    const answer = runBpf(filter, data);
    if (answer === undefined) return undefined;
    // Compared as signed numbers: to kill the process is less than anything.
    if ((answer & ACTION_MASK) < (strictest & ACTION_MASK)) strictest = answer;
  }
  return strictest;
}

function dataOf(call: FilteredCall): DataView {
  const data = new DataView(new ArrayBuffer(DATA_BYTES));
  data.setInt32(0, call.number, true);
  data.setUint32(ARCHITECTURE_AT, AUDIT_ARCH_X86_64, true);
  data.setBigUint64(INSTRUCTION_AT, BigInt.asUintN(64, BigInt(call.behind)), true);
  for (const [index, arg] of call.args.entries())
    data.setBigUint64(ARGUMENTS_AT + 8 * index, BigInt.asUintN(64, BigInt(arg)), true);
  return data;
}

/** Whether a thread is under no filter at all; one that is gone is not. */
export function isUnfiltered(thread: Thread): boolean {
  try {
    const mode = readStatus(thread.id).get("Seccomp");
    return mode === undefined || mode === MODE.none;
  } catch (error) {
    if (error instanceof TargetGone) return false;
    throw error;
  }
}

/**
 * Whether the kernel would let a stopped thread make all these calls, by its filters as they are.
 * @throws TargetGone
 */
export function judge(thread: Thread, calls: readonly FilteredCall[]): Verdict {
  const status = readStatus(thread.id);
  const mode = status.get("Seccomp");
  if (mode === undefined || mode === MODE.none) return ALLOWED;
  if (mode === MODE.strict) return { kind: "denied", why: "it is in seccomp's strict mode" };
  const filters = filtersOf(thread, status.get("Seccomp_filters"));
  if (!Array.isArray(filters)) return { kind: "denied", why: filters as string };
  for (const call of calls) {
    const answer = answerOf(filters, call);
    if (answer === undefined) return { kind: "denied", why: "its seccomp filter is of an unknown kind" };
    const action = (answer & ACTION_MASK) >>> 0;
    if (action === ALLOW || action === LOG) continue;
    // Any other value kills. seccomp(2), "Return value" of filters.
    const what = ACTIONS.get(action) ?? ACTIONS.get(KILL_PROCESS) ?? "";
    return { kind: "denied", why: `its seccomp filter would ${what} for system call ${call.number}` };
  }
  return ALLOWED;
}

interface Known {
  readonly count: string;
  readonly filters: readonly (readonly BpfInstruction[])[];
}

/** Filters are never changed, only added to: as long as they are as many, they are the same. */
const known = new WeakMap<Thread, Known>();
/** The longest filter that the kernel takes. linux/bpf_common.h, BPF_MAXINSNS. */
const MAXIMUM_LENGTH = 4096;
let room: SharedBytes | undefined;

/** @returns the filters of a thread; or why they cannot be read */
function filtersOf(
  thread: Thread,
  count: string | undefined,
): readonly (readonly BpfInstruction[])[] | string {
  const before = known.get(thread);
  if (before !== undefined && before.count === count) return before.filters;
  room ??= new SharedBytes(MAXIMUM_LENGTH * BPF_INSTRUCTION_BYTES);
  const filters: BpfInstruction[][] = [];
  for (;;) {
    const length = ptrace(PTRACE.SECCOMP_GET_FILTER, thread.id, filters.length, room.address);
    if (length === -ERRNO.ENOENT) break;
    if (length < 0) return unreadable(length);
    filters.push(decodeBpf(room.view, length));
  }
  // Kernels before 5.9 do not tell how many there are.
  if (count !== undefined) known.set(thread, { count, filters });
  return filters;
}

function unreadable(result: number): string {
  const why =
    result === -ERRNO.EACCES
      ? "that takes CAP_SYS_ADMIN, and no filter on the tracer itself"
      : errorName(result);
  return `it is under a seccomp filter, which cannot be read (${why})`;
}

/**
 * Has the kernel leave a stopped thread's filters out of account while `body` runs.
 * @returns what `body` gave; undefined where the kernel does not let us (CAP_SYS_ADMIN is missing)
 */
export function withFiltersSuspended(thread: Thread, body: () => number): number | undefined {
  if (readStatus(thread.id).get("Seccomp") !== MODE.filter) return undefined;
  if (ptrace(PTRACE.SETOPTIONS, thread.id, 0, SUSPENDING_OPTIONS) !== 0) return undefined;
  try {
    return body();
  } finally {
    // ESRCH, where it was killed meanwhile: nothing is suspended any more.
    ptrace(PTRACE.SETOPTIONS, thread.id, 0, SEIZE_OPTIONS);
  }
}
