import { type Address, formatAddress, offsetBy } from "../../base/address.js";
import { MemoryFault, ProbeRefused, TargetGone } from "../../base/errors.js";
import type { Mapping } from "../target.js";
import { STUB_LENGTH, callInTarget, callsInStub } from "./injected-call.js";
import { ERRNO, SYS, SharedBytes, errorName, systemCall4 } from "../system-calls.js";
import { isUnfiltered, judge, withFiltersSuspended } from "./seccomp.js";
import { withStopped } from "./stop-for-a-moment.js";
import { chooseRoom } from "../room.js";
import type { Thread } from "./threads.js";
import type { Tracing } from "./tracing.js";

const PAGE = 4096;

const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE = 0x100022;

/**
 * Maps executable memory within ±2 GiB of `near`, by an mmap that `thread` is made to call; or,
 * where its seccomp filter forbids that, another thread of the space that has none.
 * @throws ProbeRefused `"seccomp"`, `"no-room"`
 * @throws TargetGone   the thread was killed meanwhile
 */
export function mapNear(tracer: Tracing, thread: Thread, near: Address, length: number): Address {
  const size = Math.ceil(length / PAGE) * PAGE;
  const map = (caller: Thread): Address => mapIn(tracer, caller, near, size);
  const args = [near, size, PROT_READ_EXEC, MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE, -1, 0];
  if (isAllowed(thread, SYS.mmap, args)) return map(thread);
  return byUnfilteredThread(tracer, thread, map) ?? map(thread);
}

function mapIn(tracer: Tracing, thread: Thread, near: Address, size: number): Address {
  return mapInRoom(tracer, thread, near, size, (at) =>
    systemCallIn(tracer, thread, near, SYS.mmap, [
      at,
      size,
      PROT_READ_EXEC,
      MAP_PRIVATE_ANONYMOUS_FIXED_NOREPLACE,
      -1,
      0,
    ]),
  );
}

/**
 * Looks for free addresses within reach of `near` and has something mapped there, again where another thread was
 * faster.
 *
 * @param mapAt has `thread` map it at an address, and nowhere else if it can tell; the kernel's result
 * @throws ProbeRefused `"no-room"`
 */
export function mapInRoom(
  tracer: Tracing,
  thread: Thread,
  near: Address,
  size: number,
  mapAt: (at: Address) => number,
): Address {
  let mappings = thread.space.memory.mappings();
  for (let attempt = 0; attempt < 4; attempt++) {
    const at = chooseRoom(mappings, near, size);
    if (at === undefined) break;
    let result = mapAt(at);
    if (result === -ERRNO.ENOMEM) result = beyondAddressSpaceLimit(thread, () => mapAt(at)) ?? result;
    if (result === at) return at;
    // Kernels before 4.17 take the flag for a hint and map elsewhere.
    if (result >= 0) systemCallIn(tracer, thread, near, SYS.munmap, [result, size]);
    else if (result !== -ERRNO.EEXIST)
      throw new ProbeRefused(
        near,
        "no-room",
        `the program cannot map memory for it: ${errorName(result)}${whyNot(thread, result)}`,
      );
    // Another thread was faster: look again.
    mappings = thread.space.memory.mappings();
  }
  throw new ProbeRefused(near, "no-room", `no free addresses within 2 GiB of ${formatAddress(near)}`);
}

const RLIMIT_AS = 9;
const UNLIMITED = 2n ** 64n - 1n;
const formerLimit = new SharedBytes(16); // struct rlimit64: soft, hard
const raisedLimit = new SharedBytes(16);

/** What may be the reason, and is not ours to change. */
function whyNot(thread: Thread, result: number): string {
  if (performance.now() < thread.space.unresponsiveUntil)
    return " (it does not run: it may be in a frozen control group)";
  if (result !== -ERRNO.ENOMEM) return "";
  if (systemCall4(SYS.prlimit64, thread.id, RLIMIT_AS, 0, formerLimit.address) !== 0) return "";
  const limit = formerLimit.view.getBigUint64(0, true);
  return limit === UNLIMITED ? "" : ` (its address space is limited to ${limit} bytes, RLIMIT_AS)`;
}

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
export function unmap(tracer: Tracing, thread: Thread, at: Address, length: number): void {
  // Whatever becomes of us now: no thread may find itself in memory that is gone.
  for (const other of thread.space.threads.values()) {
    if (!other.stopped || !other.registers.dirty) continue;
    tracer.storeRegisters(other);
    other.registers.dirty = true; // what they are is still to be told from what they were at the stop
  }
  const size = Math.ceil(length / PAGE) * PAGE;
  const result = systemCallIn(tracer, thread, at, SYS.munmap, [at, size]);
  if (result < 0) throw new ProbeRefused(at, "no-room", `munmap in the program failed: ${errorName(result)}`);
}

/** Whether a thread's seccomp filters, if it has any, let it make a call. */
function isAllowed(thread: Thread, number: number, args: readonly number[]): boolean {
  const stub = thread.space.stub ?? (0 as Address);
  return judge(thread, callsInStub(stub, number, args)).kind === "allowed";
}

/** Whether a thread can be made to do a call, with its seccomp filters suspended if that is what it takes. */
export function mayCall(thread: Thread, number: number): boolean {
  return isAllowed(thread, number, []) || withFiltersSuspended(thread, () => 0) !== undefined;
}

/** So many others are tried, each of which may take a while to stop. */
const OTHERS_TRIED = 3;

/** Has another thread of the space do something, one that is under no seccomp filter. */
function byUnfilteredThread<Result>(
  tracer: Tracing,
  thread: Thread,
  body: (other: Thread) => Result,
): Result | undefined {
  let tried = 0;
  for (const other of [...thread.space.threads.values()]) {
    if (other === thread || other.ending || other.starting !== undefined) continue;
    if (!isUnfiltered(other) || ++tried > OTHERS_TRIED) continue;
    let result: Result | undefined;
    const attempt = (): void => {
      result = unlessRefused(() => body(other));
    };
    if (other.stopped) attempt();
    else withStopped(tracer, other, attempt);
    if (result !== undefined) return result;
  }
  return undefined;
}

function unlessRefused<Result>(body: () => Result): Result | undefined {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof ProbeRefused || error instanceof TargetGone)) throw error;
    return undefined;
  }
}

/**
 * Makes a stopped thread do one system call: see {@link callInTarget}. What a seccomp filter would not
 * let it do it does with its filters suspended, where the kernel lets us suspend them.
 * @returns the result, `-errno` on failure
 * @throws ProbeRefused `"seccomp"`: the call is not made
 */
export function systemCallIn(
  tracer: Tracing,
  thread: Thread,
  near: Address,
  number: number,
  args: readonly number[],
): number {
  const { space } = thread;
  if (space.stub !== undefined) return callAt(tracer, thread, space.stub, near, number, args);
  const at = borrowedRoom(thread, near);
  try {
    return callAt(tracer, thread, at, near, number, args);
  } finally {
    // Unless the thread is still there: see callInTarget.
    if (space.unresponsiveUntil !== Infinity) giveBack(thread, at);
  }
}

function callAt(
  tracer: Tracing,
  thread: Thread,
  at: Address,
  near: Address,
  number: number,
  args: readonly number[],
): number {
  const call = (): number => callInTarget(tracer, thread, at, number, args);
  const verdict = judge(thread, callsInStub(at, number, args));
  if (verdict.kind === "allowed") return call();
  const result = withFiltersSuspended(thread, call);
  if (result !== undefined) return result;
  throw new ProbeRefused(
    near,
    "seccomp",
    `thread ${thread.id} must not be made to call the kernel: ${verdict.why}`,
  );
}

/**
 * Before there is room of our own: the bytes behind the end of some text, up to the end of its last
 * page, which are zero and which nothing runs. Should we die before they are zero again, nobody sees it.
 */
function borrowedRoom(thread: Thread, near: Address): Address {
  const { memory } = thread.space;
  const bytes = new Uint8Array(STUB_LENGTH);
  const isText = (mapping: Mapping): boolean =>
    mapping.executable && !mapping.writable && !mapping.shared && mapping.start >= 0;
  const mappings = memory.mappings().filter((mapping) => isText(mapping) && mapping.path !== "");
  // The vDSO has such room on every kernel; one that has no vDSO needs one of the programs.
  mappings.sort((a, b) => Number(b.path === "[vdso]") - Number(a.path === "[vdso]"));
  for (const mapping of mappings) {
    const at = offsetBy(mapping.end, -STUB_LENGTH);
    if (memory.readSome(at, bytes) === bytes.length && bytes.every((byte) => byte === 0)) return at;
  }
  throw new ProbeRefused(near, "no-room", "the program has no unused bytes of text to map memory from");
}

function giveBack(thread: Thread, at: Address): void {
  try {
    thread.space.memory.writeText(at, new Uint8Array(STUB_LENGTH));
  } catch (error) {
    // Then the memory is gone with its program.
    if (!(error instanceof TargetGone || error instanceof MemoryFault)) throw error;
  }
}
