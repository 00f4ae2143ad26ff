import koffi from "koffi";
import {
  ERRNO,
  HARMLESS_HANDLER,
  SYS,
  SharedBytes,
  SystemCallList,
  errorName,
  systemCall,
  systemCall3,
  systemCall4,
} from "../system-calls.js";
import { DOORBELL } from "./doorbell-words.js";
import { PTRACE, WAIT_OPTIONS } from "./ptrace.js";
import { LAST_SIGNAL, SIGINFO_BYTES } from "../signals.js";

/** Interrupts a blocking wait. A real-time signal that neither Node nor the C library uses. */
export const WAKE_SIGNAL = 62;

const CLOCK_MONOTONIC = 1;
const SIGEV_THREAD_ID = 4;
const WNOHANG = 1;
const P_ALL = 0;
/** WEXITED, WSTOPPED, WNOWAIT. waitid(2). */
const LOOK_OPTIONS = WAIT_OPTIONS | 4 | 2 | 0x01000000;
const CLD_TRAPPED = 4;
const CLD_STOPPED = 5;
/** Low byte of the wait status of a stop. */
const STOPPED = 0x7f;
const SIG_UNBLOCK = 1;

/** While a deadline has passed unheard, the timer's signal comes again after this time. */
const REPEAT_NS = 4_000_000;

/** The clock is looked at once in so many waits that end with a stop; a wait that blocks has the timer. */
const LOOK_EVERY = 32;

/** A thread whose registers are fetched along with its next stop. */
interface Expected {
  readonly id: number;
  readonly registersAddress: number;
  readonly stopped: boolean;
}

/** How a wait ended. */
export type Wake = "stop" | "woken" | "nothing-to-wait-for";

/**
 * The blocking wait of the tracer's thread: returns with a stop, at a deadline, or when the bell
 * rings. One system call list does the wait and fetches, in the same go, registers and siginfo of
 * the thread that stopped last: in a dense succession of hits it is that thread again.
 *
 * A stop is looked at, not taken: the kernel forgets the signal of a stop that was taken, and when
 * the tracer dies the thread would go on behind its breakpoint as if nothing had been.
 */
export class Waiter {
  /** The thread that stopped, and its wait status: valid after `wait` returned `"stop"`. */
  thread = 0;
  status = 0;
  /** What was taken: not what was seen, where the thread was killed in between and stands at its exit. */
  takenStatus = 0;
  /** The same, after `look`. */
  polledThread = 0;
  polledStatus = 0;
  /** Registers and siginfo of {@link thread} were fetched along. */
  fetched = false;
  readonly siginfo = new SharedBytes(SIGINFO_BYTES);

  private readonly list = new SystemCallList(3);
  private readonly info = new SharedBytes(SIGINFO_BYTES);
  /** The thread whose stop was seen, but not taken. */
  untaken = 0;
  private readonly polled = new SharedBytes(SIGINFO_BYTES);
  private readonly polledWord = new SharedBytes(8);
  private readonly waiting: number;
  private readonly fetchingRegisters: number;
  private readonly fetchingSiginfo: number;
  private expected: Expected | undefined;
  private readonly timer: number;
  private readonly timerSpec = new SharedBytes(32);
  private armedUntil = Infinity;
  private looks = 0;
  /** See {@link DOORBELL}. */
  readonly bell: Int32Array;

  constructor(doorbell: SharedArrayBuffer | undefined) {
    this.waiting = this.list.add(SYS.waitid, [P_ALL, 0, this.info.address, LOOK_OPTIONS, 0], 0n);
    this.fetchingRegisters = this.list.add(SYS.ptrace, [PTRACE.GETREGS, 0, 0, 0], 0n);
    this.fetchingSiginfo = this.list.add(SYS.ptrace, [PTRACE.GETSIGINFO, 0, 0, this.siginfo.address], 0n);
    const self = systemCall3(SYS.gettid, 0, 0, 0);
    installHandler();
    this.timer = createTimer(self);
    this.bell = new Int32Array(doorbell ?? new ArrayBuffer(16));
    Atomics.store(this.bell, DOORBELL.tracer, self);
  }

  /**
   * The thread whose registers are fetched along with the next stop; undefined: none. It is held
   * here, since the kernel writes to its memory.
   */
  expect(thread: Expected | undefined): void {
    if (thread === this.expected) return;
    this.expected = thread;
    if (thread === undefined) return;
    this.list.setSmall(this.fetchingRegisters, 2, thread.id);
    this.list.set(this.fetchingRegisters, 4, thread.registersAddress);
    this.list.setSmall(this.fetchingSiginfo, 2, thread.id);
  }

  /** No longer fetches registers for this thread: it is gone. */
  forget(thread: { readonly id: number }): void {
    if (this.expected === thread) this.expected = undefined;
  }

  /**
   * Whether waiting is over without a stop: the bell was rung or, looked at now and then, the
   * deadline has passed.
   */
  isOver(until: number): boolean {
    if (this.heard()) return true;
    if (++this.looks < LOOK_EVERY) return false;
    this.looks = 0;
    return performance.now() >= until;
  }

  /** A stop was seen, or an end. Only a signal's stop is left untaken; all others have no use for that. */
  private noteStop(): void {
    const { words } = this.info;
    const [code, thread, status] = [words[2] as number, words[4] as number, words[6] as number]; // 128 bytes long
    this.thread = this.untaken = thread;
    if (code === CLD_TRAPPED || code === CLD_STOPPED) {
      this.status = (status << 8) | STOPPED;
      if (status <= LAST_SIGNAL) return;
      if (this.take() !== 0) this.status = this.takenStatus;
      return;
    }
    this.status = this.take() === 0 ? 0 : (this.polledWord.words[0] as number); // 8 bytes long
  }

  /**
   * Takes the stop that was seen last, if its thread was not set going since: otherwise the next
   * look would see it again. From now on, should we die, the signal that it is about is lost.
   * @returns the thread, or 0
   */
  take(): number {
    const thread = this.untaken;
    if (thread === 0) return 0;
    this.untaken = 0;
    const taken = systemCall4(SYS.wait4, thread, this.polledWord.address, WAIT_OPTIONS | WNOHANG, 0);
    this.takenStatus = taken === thread ? (this.polledWord.words[0] as number) : this.status; // 8 bytes long
    return taken === thread ? thread : 0;
  }

  /** A thread is set going: what it stopped for is settled by that. */
  goes(thread: number): void {
    if (this.untaken === thread) this.untaken = 0;
  }

  /** Looks for a thread that stands, without waiting and without taking it. @returns whether there was one */
  look(): boolean {
    this.polled.words[4] = 0;
    const result = systemCall(SYS.waitid, P_ALL, 0, this.polled.address, LOOK_OPTIONS | WNOHANG, 0);
    const { words } = this.polled;
    const [code, thread, status] = [words[2] as number, words[4] as number, words[6] as number]; // 128 bytes long
    if (result < 0 || thread === 0) return false;
    this.polledThread = thread;
    this.polledStatus = code === CLD_TRAPPED || code === CLD_STOPPED ? (status << 8) | STOPPED : 0;
    return true;
  }

  /** Takes what {@link look} has seen, or what came since. @returns false where it was set going meanwhile */
  takePolled(): boolean {
    const { polledThread: thread, polledWord: word } = this;
    if (systemCall4(SYS.wait4, thread, word.address, WAIT_OPTIONS | WNOHANG, 0) !== thread) return false;
    this.polledStatus = word.words[0] as number; // 8 bytes long
    return true;
  }

  /** @param until as `performance.now()` counts */
  wait(until: number): Wake {
    if (until !== this.armedUntil) this.arm(until);
    for (;;) {
      // Held since its last stop, its registers may have been written to: they are not fetched over that.
      const fetches = this.expected?.stopped === false;
      const left = this.list.run(fetches ? 3 : 1);
      const result = this.list.result(this.waiting);
      if (result === 0) {
        this.noteStop();
        this.fetched = fetches && left === 0 && this.thread === this.expected?.id;
        return "stop";
      }
      if (result === -ERRNO.ECHILD) return this.sleep(until);
      if (result !== -ERRNO.EINTR) throw new Error(`waitid: ${errorName(result)}`);
      if (this.heard()) return "woken";
      if (performance.now() >= until) {
        this.arm(Infinity);
        return "woken";
      }
    }
  }

  /** Deletes the timer; the bell finds nobody any more. */
  dispose(): void {
    systemCall3(SYS.timer_delete, this.timer, 0, 0);
    Atomics.store(this.bell, DOORBELL.tracer, 0);
  }

  /** The bell was heard by somebody who is not meant: the next wait hears it again. */
  passOn(): void {
    Atomics.store(this.bell, DOORBELL.rung, 1);
  }

  /** Whether the bell was rung since it was last heard. */
  private heard(): boolean {
    if (Atomics.load(this.bell, DOORBELL.rung) === 0) return false;
    Atomics.store(this.bell, DOORBELL.rung, 0);
    return true;
  }

  /** Nothing is traced: waits for the deadline or the bell only. */
  private sleep(until: number): Wake {
    const left = until - performance.now();
    if (left <= 0) return "woken";
    if (until === Infinity && !(this.bell.buffer instanceof SharedArrayBuffer)) return "nothing-to-wait-for";
    const shared =
      this.bell.buffer instanceof SharedArrayBuffer ? this.bell : new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(shared, DOORBELL.rung, 0, left);
    this.heard();
    return "woken";
  }

  private arm(until: number): void {
    const view = this.timerSpec.view;
    const ns = until === Infinity ? 0 : Math.max(1, Math.round((until - performance.now()) * 1e6));
    view.setBigInt64(0, 0n, true);
    view.setBigInt64(8, BigInt(ns === 0 ? 0 : REPEAT_NS), true);
    view.setBigInt64(16, BigInt(Math.floor(ns / 1e9)), true);
    view.setBigInt64(24, BigInt(ns % 1e9), true);
    systemCall4(SYS.timer_settime, this.timer, 0, this.timerSpec.address, 0);
    this.armedUntil = until;
  }
}

/** Handler without SA_RESTART: wait4 must come back. Process-wide, set once, never taken away. */
function installHandler(): void {
  const sigaction = koffi.load("libc.so.6").func("int sigaction(int, void *, void *)") as (
    signal: number,
    action: Uint8Array,
    old: null,
  ) => number;
  const action = new SharedBytes(152); // glibc's struct sigaction: handler, 128 bytes of mask, flags, restorer
  action.view.setBigUint64(0, BigInt(HARMLESS_HANDLER), true);
  if (sigaction(WAKE_SIGNAL, action.bytes, null) !== 0) throw new Error("cannot install a signal handler");
  const mask = new SharedBytes(8);
  mask.view.setBigUint64(0, 1n << BigInt(WAKE_SIGNAL - 1), true);
  systemCall4(SYS.rt_sigprocmask, SIG_UNBLOCK, mask.address, 0, 8);
}

/** A timer that signals this very thread. timer_create(2), SIGEV_THREAD_ID. */
function createTimer(thread: number): number {
  const event = new SharedBytes(64); // struct sigevent
  event.view.setInt32(8, WAKE_SIGNAL, true);
  event.view.setInt32(12, SIGEV_THREAD_ID, true);
  event.view.setInt32(16, thread, true);
  const id = new SharedBytes(8);
  const result = systemCall(SYS.timer_create, CLOCK_MONOTONIC, event.address, id.address);
  if (result < 0) throw new Error(`timer_create: ${errorName(result)}`);
  return id.words[0] as number; // 8 bytes long
}
