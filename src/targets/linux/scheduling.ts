import { readFileSync } from "node:fs";
import { DOORBELL } from "./doorbell-words.js";
import { ERRNO, SYS, SharedBytes, closeFile, openFile, systemCall3, systemCall4 } from "../system-calls.js";
import { OtherThreads } from "./other-threads.js";
import { readStatus } from "./process-files.js";

/**
 * A stop and its resumption cost 4 µs when tracer and tracee share a processor and 80 µs when they
 * do not: then each wakes the other's idle processor. The kernel spreads the two, since it takes
 * them for two busy threads, unless the tracer does not count: a processor that runs only
 * SCHED_IDLE threads is idle to the wake-up placement. So, while one thread hits in dense
 * succession, the tracer runs with SCHED_IDLE on that thread's processor. The tracee's own
 * scheduling is never touched.
 *
 * A SCHED_IDLE thread starves while its processor is busy, and cannot help itself: that is what
 * {@link StarvationGuard}, in another thread, is for.
 */

/** sched(7); include/uapi/linux/sched.h. RESET_ON_FORK: launched programs must not inherit it. */
const SCHED_OTHER = 0;
const SCHED_IDLE = 5;
const SCHED_RESET_ON_FORK = 0x40000000;

const CAP_SYS_NICE = 23n;
const RLIMIT_NICE = 13;
/** Leaving SCHED_IDLE for nice 0 takes a soft RLIMIT_NICE of 20 − 0. sched(7). */
const NICE_NEEDED = 20n;

/** The case is looked at once in so many stops: a target that was moved away is found within 1.5 ms. */
const LOOK_EVERY = 16;
/** Stops further apart on average are not worth it. */
const DENSE_MS = 1;
/**
 * For several threads in turn the stops must be closer. Measured, 4 threads on 2 processors, with
 * no work between hits: 14 µs a hit apart, 6 µs together; with 100 µs of work: 130 apart, 170 together.
 */
const SEVERAL_DENSE_MS = 0.03;
const RETRY_MS = 200;
/** Stops closer together on average come from the processor that we are on. */
const TOGETHER_MS = 0.025;
/** Off for so long after the guard had to help; twice as long each time that it has to help again soon. */
const PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;
/** Well for so many pauses: the next is a short one again. */
const FORGIVEN_AFTER = 5;

const AFFINITY_BYTES = 1024;
const noParameters = new SharedBytes(8); // struct sched_param, priority 0

/** Moves the tracer's thread beside a thread that stops again and again. */
export class Scheduling {
  private readonly allowed = canRunBeside();
  private readonly affinity = new SharedBytes(AFFINITY_BYTES);
  private readonly affinityBytes: number;
  private readonly pinned = new SharedBytes(AFFINITY_BYTES);
  private readonly stat = new SharedBytes(1024);
  private beside = -1;
  private last = 0;
  private same = 0;
  private other = 0;
  private since = 0;
  private notBefore = 0;
  private starved = 0;
  private pause = PAUSE_MS;
  private readonly others: OtherThreads | undefined;
  private statFile = -1;
  private statThread = 0;

  /** @param ownsProcess see {@link OtherThreads} */
  constructor(
    private readonly bell: Int32Array,
    ownsProcess: boolean,
  ) {
    this.affinityBytes = systemCall3(SYS.sched_getaffinity, 0, AFFINITY_BYTES, this.affinity.address);
    this.others = ownsProcess ? new OtherThreads() : undefined;
  }

  /** Called at every stop; allocates nothing but once in {@link LOOK_EVERY} times. */
  stopped(process: number, thread: number): void {
    if (thread === this.last) this.same++;
    else {
      this.last = thread;
      this.other++;
    }
    if (this.same + this.other >= LOOK_EVERY) this.look(process, thread);
  }

  /** Back to what the thread was. */
  dispose(): void {
    this.leave();
    if (this.statFile >= 0) closeFile(this.statFile);
    this.statFile = -1;
  }

  private look(process: number, thread: number): void {
    const now = performance.now();
    const took = now - this.since;
    const oneThread = this.other <= 1;
    const joined = this.beside >= 0;
    const dense = took < LOOK_EVERY * (oneThread ? DENSE_MS : joined ? TOGETHER_MS : SEVERAL_DENSE_MS);
    this.since = now;
    this.same = this.other = 0;
    const starved = Atomics.load(this.bell, DOORBELL.starved);
    if (starved !== this.starved) {
      this.starved = starved;
      const soon = now < this.notBefore + FORGIVEN_AFTER * this.pause;
      this.pause = soon ? Math.min(2 * this.pause, LONGEST_PAUSE_MS) : PAUSE_MS;
      this.notBefore = now + this.pause;
      return this.leave();
    }
    if (!this.allowed || now < this.notBefore) return;
    if (!dense) {
      // Several threads with work of their own are better off with us elsewhere; not tried again at once.
      if (joined && !oneThread) this.notBefore = now + RETRY_MS;
      return this.leave();
    }
    // As fast as this, the two are still together: the look at the processor can be saved.
    if (joined && took < LOOK_EVERY * TOGETHER_MS) return;
    this.join(process, thread);
  }

  private join(process: number, thread: number): void {
    const processor = this.processorOf(process, thread);
    if (processor < 0 || processor === this.beside) return;
    this.pinned.bytes.fill(0);
    this.pinned.bytes[processor >> 3] = 1 << (processor & 7);
    // A processor that our own affinity does not have is not ours to use.
    if (((this.affinity.bytes[processor >> 3] ?? 0) & (1 << (processor & 7))) === 0) return this.leave();
    if (systemCall3(SYS.sched_setaffinity, 0, AFFINITY_BYTES, this.pinned.address) < 0) return;
    this.others?.keepOff(processor, this.affinity, this.pinned);
    if (this.beside < 0) setPolicy(0, SCHED_IDLE);
    this.beside = processor;
    Atomics.store(this.bell, DOORBELL.beside, 1);
  }

  private leave(): void {
    if (Atomics.exchange(this.bell, DOORBELL.beside, 0) === 0) return;
    this.beside = -1;
    setPolicy(0, SCHED_OTHER);
    systemCall3(SYS.sched_setaffinity, 0, this.affinityBytes, this.affinity.address);
    this.others?.letEverywhere(this.affinity);
  }

  /** Field 39 of `/proc/PID/task/TID/stat`, read anew. @returns −1 where it cannot be had */
  private processorOf(process: number, thread: number): number {
    if (this.statThread !== thread || this.statFile < 0) {
      if (this.statFile >= 0) closeFile(this.statFile);
      this.statFile = openFile(`/proc/${process}/task/${thread}/stat`, 0);
      this.statThread = thread;
    }
    if (this.statFile < 0) return -1;
    const length = systemCall4(SYS.pread64, this.statFile, this.stat.address, this.stat.bytes.length, 0);
    if (length <= 0) return -1;
    const text = Buffer.from(this.stat.buffer, 0, length).toString("latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return Number(fields[39 - 3]);
  }
}

/**
 * Watches, from another thread of this process, whether the tracer's thread gets no processor while
 * it runs with SCHED_IDLE, and gives it its ordinary policy back.
 */
export class StarvationGuard {
  private readonly words: Int32Array;
  private readonly affinity = new SharedBytes(AFFINITY_BYTES);
  private readonly affinityBytes: number;
  private readonly timer: NodeJS.Timeout;
  private delay = -1;

  /** How often it had to help. */
  helped = 0;

  /** @param doorbell the buffer that the target was made with */
  constructor(doorbell: SharedArrayBuffer) {
    this.words = new Int32Array(doorbell);
    this.affinityBytes = systemCall3(SYS.sched_getaffinity, 0, AFFINITY_BYTES, this.affinity.address);
    this.timer = setInterval(() => this.check(), CHECK_MS).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Public for callers with a loop of their own. */
  check(): void {
    const tracer = Atomics.load(this.words, DOORBELL.tracer);
    if (tracer === 0 || Atomics.load(this.words, DOORBELL.beside) === 0) {
      this.delay = -1;
      return;
    }
    const delay = runDelay(tracer);
    const before = this.delay;
    this.delay = delay;
    if (before < 0 || delay - before < STARVING_MS) return;
    setPolicy(tracer, SCHED_OTHER);
    systemCall3(SYS.sched_setaffinity, tracer, this.affinityBytes, this.affinity.address);
    Atomics.add(this.words, DOORBELL.starved, 1);
    this.helped++;
  }
}

const CHECK_MS = 20;
/** Milliseconds of waiting for a processor, of {@link CHECK_MS}. */
const STARVING_MS = 10;

/** Milliseconds that a thread of ours has waited for a processor; grows while it waits. sched-stats.rst. */
function runDelay(thread: number): number {
  try {
    return Number(readFileSync(`/proc/self/task/${thread}/schedstat`, "utf8").split(" ")[1]) / 1e6;
  } catch {
    // The thread has ended, or the kernel keeps no such statistics: nothing to go by.
    return -1;
  }
}

function setPolicy(thread: number, policy: number): void {
  // Unprivileged, the flag cannot be taken away again; it changes nothing for SCHED_OTHER.
  const result = systemCall3(
    SYS.sched_setscheduler,
    thread,
    policy | SCHED_RESET_ON_FORK,
    noParameters.address,
  );
  if (result < 0 && result !== -ERRNO.ESRCH && result !== -ERRNO.EPERM)
    throw new Error(`sched_setscheduler failed with ${result}`);
}

/**
 * Whether the tracer may run beside its target: only where SCHED_IDLE can be left again. Without,
 * a hit costs up to ten times as much; `ulimit -e 20` or CAP_SYS_NICE allows it.
 */
export function canRunBeside(): boolean {
  const capabilities = readStatus(process.pid).mask("CapEff");
  if ((capabilities & (1n << CAP_SYS_NICE)) !== 0n) return true;
  const limit = new SharedBytes(16); // struct rlimit64
  return (
    systemCall4(SYS.prlimit64, 0, RLIMIT_NICE, 0, limit.address) === 0 &&
    limit.view.getBigUint64(0, true) >= NICE_NEEDED
  );
}
