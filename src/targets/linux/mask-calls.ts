import { type Address, addressOf, offsetBy, toBigInt } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import { SYS } from "../system-calls.js";
import { SET_BYTES, TRAP_BIT, type TrapMask } from "./signal-mask.js";
import { SIG } from "../signals.js";
import type { Thread } from "./threads.js";
import { learnMask, setTrapBlocked } from "./trap-mask.js";

/** First argument of rt_sigprocmask(2). */
const HOW = { block: 0, unblock: 1, set: 2 } as const;

/** Where rt_sigreturn finds the mask, from the stack pointer: `uc_sigmask`. asm-generic/ucontext.h, asm/sigcontext.h. */
const UCONTEXT_SIGMASK = 296;
/** The same at a handler's first instruction: the return address lies before it. */
const FRAME_SIGMASK = UCONTEXT_SIGMASK + 8;

/** Below the red zone: nothing there is the program's. System V AMD64 ABI, 3.2.2. */
export const FREE_STACK = 256;

const UNBLOCKABLE = (1 << (SIG.KILL - 1)) | (1 << (SIG.STOP - 1));

const set = new Uint8Array(SET_BYTES);
const setWords = new Int32Array(set.buffer);

/**
 * A thread is about to make a system call that may change its mask; its registers are fetched.
 * What the call cannot read it does not change either, so the result need not be waited for.
 *
 * @param changing whether the call may be changed: something is called behind it then
 */
export function followMask(thread: Thread, number: number, changing: boolean): void {
  const { registers, mask } = thread;
  if (number === SYS.rt_sigreturn) followReturn(thread, changing);
  if (number !== SYS.rt_sigprocmask || registers.read("r10") !== BigInt(SET_BYTES)) return;
  mask.leave(registers.sp);
  const given = registers.read("rsi");
  const before = mask.held;
  const how = Number(BigInt.asUintN(32, registers.read("rdi")));
  let stripped = false;
  if (given !== 0n) {
    if (!readSet(thread, addressOf(given)) || how > HOW.set) return;
    const named = ((setWords[0] as number) & TRAP_BIT) !== 0; // 8 bytes long
    stripped = changing && named && how !== HOW.unblock && !mask.inEarnest;
    if (stripped) stripped = passStripped(thread);
    change(mask, how, setWords[0] as number, setWords[1] as number, stripped);
  }
  const former = changing && before ? addressOf(registers.read("rdx")) : undefined;
  const wanted = former !== undefined && former !== 0;
  if (stripped || wanted) thread.maskCall = { given, former: wanted ? former : undefined };
}

/** The call that was changed is done. */
export function finishMaskCall(thread: Thread): void {
  const call = thread.maskCall;
  thread.maskCall = undefined;
  if (call === undefined) return;
  const { registers } = thread;
  registers.write("rsi", call.given);
  if (call.former === undefined || registers.read("rax") !== 0n) return;
  if (readSet(thread, call.former)) writeSet(thread, call.former, (setWords[0] as number) | TRAP_BIT); // 8 bytes long
}

/**
 * A handler begins. SIGTRAP is held back in it, too, and what it sees of the interrupted mask is what
 * the program thinks that was. Registers are fetched.
 */
export function maskHandler(thread: Thread): void {
  const { mask, registers } = thread;
  const heldBefore = mask.held;
  mask.enter(registers.sp);
  learnMask(thread);
  const frame = offsetBy(registers.sp, FRAME_SIGMASK);
  if (heldBefore && readSet(thread, frame)) writeSet(thread, frame, (setWords[0] as number) | TRAP_BIT); // 8 bytes long
  if (!mask.inEarnest) return;
  setTrapBlocked(thread, false);
  mask.held = true;
}

function followReturn(thread: Thread, changing: boolean): void {
  const { mask, registers } = thread;
  const earnest = mask.inEarnest;
  // A return is over with its own handler, too.
  mask.leave(offsetBy(registers.sp, 1));
  const frame = offsetBy(registers.sp, UCONTEXT_SIGMASK);
  if (!readSet(thread, frame)) return;
  const [low, high] = [setWords[0] as number, setWords[1] as number]; // 8 bytes long
  const held = changing && !earnest && (low & TRAP_BIT) !== 0 && writeSet(thread, frame, low & ~TRAP_BIT);
  mask.become(low, high, held);
}

function change(mask: TrapMask, how: number, low: number, high: number, held: boolean): void {
  switch (how) {
    case HOW.block:
      mask.become(mask.low | low, mask.high | high, mask.held || held);
      return;
    case HOW.unblock:
      mask.become(mask.low & ~low, mask.high & ~high, mask.held);
      return;
    default:
      mask.become(low, high, held);
  }
}

/** Has the call get the set without SIGTRAP, from below the stack. @returns whether that could be done */
function passStripped(thread: Thread): boolean {
  const { registers } = thread;
  const low = setWords[0] as number; // 8 bytes long
  const at = offsetBy(registers.sp, -FREE_STACK);
  if (!writeSet(thread, at, low & ~TRAP_BIT)) return false;
  setWords[0] = low;
  registers.write("rsi", toBigInt(at));
  return true;
}

/** A signal set in the thread's memory, with what cannot be blocked taken out. @returns false where it cannot be read */
function readSet(thread: Thread, at: Address | undefined): boolean {
  if (at === undefined || thread.space.memory.readSome(at, set) < SET_BYTES) return false;
  setWords[0] = (setWords[0] as number) & ~UNBLOCKABLE; // 8 bytes long
  return true;
}

/** Writes the set that was just read, with another first word. */
function writeSet(thread: Thread, at: Address, low: number): boolean {
  setWords[0] = low;
  try {
    thread.space.memory.write(at, set);
    return true;
  } catch (error) {
    if (!(error instanceof MemoryFault)) throw error;
    return false;
  }
}

/**
 * System calls that wait with a mask of their own, and where it is: by argument register, or by a
 * word in memory that an argument points to. Linux syscalls of those names.
 */
const WAITS_WITH_MASK: ReadonlyMap<
  bigint,
  { readonly register: "rdi" | "r8" | "r9" | "r10"; readonly indirect?: true }
> = new Map([
  [130n, { register: "rdi" }], // rt_sigsuspend
  [270n, { register: "r9", indirect: true }], // pselect6
  [271n, { register: "r10" }], // ppoll
  [281n, { register: "r8" }], // epoll_pwait
  [333n, { register: "r9", indirect: true }], // io_pgetevents
  [441n, { register: "r8" }], // epoll_pwait2
]);

/** Whether a thread was interrupted in a call that lets SIGTRAP in for as long as it waits. */
export function waitsForTrap(thread: Thread): boolean {
  const { registers } = thread;
  const call = WAITS_WITH_MASK.get(registers.read("orig_rax"));
  if (call === undefined || BigInt.asIntN(64, registers.read("rax")) >= 0n) return false;
  let at = addressOf(registers.read(call.register));
  if (call.indirect === true) {
    const word = new Uint8Array(8);
    if (at === undefined || thread.space.memory.readSome(at, word) < word.length) return false;
    at = addressOf(new DataView(word.buffer).getBigUint64(0, true));
  }
  return at !== undefined && at !== 0 && readSet(thread, at) && ((setWords[0] as number) & TRAP_BIT) === 0;
}
