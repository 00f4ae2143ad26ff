import { readdirSync } from "node:fs";
import { SYS, type SharedBytes, systemCall3 } from "../system-calls.js";

/**
 * The other threads of the tracer's own process: the compiler's and the collector's helpers above
 * all. A processor that runs the tracer with SCHED_IDLE looks idle to the kernel, which would set
 * them to work there, in front of the tracer. So they are kept off it. Only for a process that
 * exists for the tracer: threads of somebody else's program are left where they are.
 */
export class OtherThreads {
  private readonly self = systemCall3(SYS.gettid, 0, 0, 0);
  private readonly keptOff = new Set<number>();

  /**
   * @param processor that no other thread of this process is to run on; where there is no other
   *                  processor nothing is changed
   * @param everywhere the affinity that the process has
   * @param scratch    as long as `everywhere`
   */
  keepOff(processor: number, everywhere: SharedBytes, scratch: SharedBytes): void {
    scratch.bytes.set(everywhere.bytes);
    const byte = processor >> 3;
    scratch.bytes[byte] = (scratch.bytes[byte] ?? 0) & ~(1 << (processor & 7));
    if (scratch.bytes.every((bits) => bits === 0)) return;
    for (const entry of readdirSync("/proc/self/task")) {
      const thread = Number(entry);
      if (thread === this.self) continue;
      this.keptOff.add(thread);
      setAffinity(thread, scratch);
    }
  }

  letEverywhere(everywhere: SharedBytes): void {
    for (const thread of this.keptOff) setAffinity(thread, everywhere);
    this.keptOff.clear();
  }
}

/** A thread that has ended meanwhile needs nothing. */
function setAffinity(thread: number, affinity: SharedBytes): void {
  systemCall3(SYS.sched_setaffinity, thread, affinity.bytes.length, affinity.address);
}
