import { closeSync, openSync, readFileSync, readSync, readdirSync } from "node:fs";
import { TargetError, TargetGone } from "../../base/errors.js";
import type { ThreadId } from "../target.js";
import { ERRNO, SYS, errorName, systemCall3 } from "../system-calls.js";
import { isGone, readFile, readStat, readStatus } from "./process-files.js";
import { type StatusFields } from "../process-status.js";
import { PTRACE, SEIZE_OPTIONS, ptrace } from "./ptrace.js";
import { sharesMemory } from "./kinship.js";
import type { Space } from "./threads.js";
import type { Tracer } from "./tracer.js";
import { learnMaskOfRunning } from "./trap-mask.js";

/** Field 9 of `/proc/PID/stat`, counted from field 3; bit of a kernel thread. include/linux/sched.h. */
const FLAGS = 9 - 3;
const PF_KTHREAD = 0x00200000;

/**
 * Seizes all threads of a running process; they go on running.
 *
 * @param pid a process; a thread's TID means the thread's process
 * @throws TargetError the process cannot be traced; the message says why, the remedy what to do
 */
export function attach(tracer: Tracer, pid: number): void {
  if (!Number.isSafeInteger(pid) || pid <= 0) throw new TargetError(`${pid} is not a process ID`);
  const process = refuse(pid);
  const space = tracer.book.newSpace();
  // Threads that start meanwhile belong to seized creators and are traced from birth, or are found
  // in the next round.
  for (let found = true; found;) {
    found = false;
    for (const thread of threadsOf(process)) {
      if (tracer.book.find(thread) !== undefined) continue;
      const result = ptrace(PTRACE.SEIZE, thread, 0, SEIZE_OPTIONS);
      if (result === -ERRNO.ESRCH) continue;
      if (result < 0) {
        // Traced from birth: its creator's event tells about it.
        if (tracedBy(thread) === systemCall3(SYS.gettid, 0, 0, 0)) continue;
        if (isEnding(thread)) continue;
        throw notPermitted(process, thread, result);
      }
      learnMaskOfRunning(tracer.book.add(thread, process, space));
      found = true;
    }
  }
  if (space.threads.size === 0) throw new TargetError(`process ${process} has just ended`);
  attachSharers(tracer, process, space);
}

/**
 * Seizes the processes that share the memory (children and parents of vfork and clone(CLONE_VM)):
 * they run the same text, and would meet breakpoints there that nobody takes.
 * @throws TargetError one of them cannot be traced
 */
function attachSharers(tracer: Tracer, process: number, space: Space): void {
  for (let found = true; found;) {
    found = false;
    for (const other of sharersOf(process)) {
      if (tracer.book.find(other as ThreadId) !== undefined) continue;
      for (const thread of threadsOf(other)) {
        if (tracer.book.find(thread) !== undefined) continue;
        const result = ptrace(PTRACE.SEIZE, thread, 0, SEIZE_OPTIONS);
        if (result === -ERRNO.ESRCH || isEnding(thread)) continue;
        if (result < 0 && tracedBy(thread) === systemCall3(SYS.gettid, 0, 0, 0)) continue;
        if (result < 0) throw notAlone(process, other, notPermitted(other, thread, result));
        learnMaskOfRunning(tracer.book.add(thread, other, space));
        found = true;
      }
      if (found)
        tracer.notice(
          `process ${other}${nameOf(other)} shares the memory of process ${process}: it is traced as well`,
        );
    }
  }
}

/** The other processes that have a process's memory, as far as we may ask. */
function sharersOf(process: number): number[] {
  const others = readdirSync("/proc").map(Number);
  return others.filter((other) => other > 0 && other !== process && isSharer(process, other));
}

function isSharer(process: number, other: number): boolean {
  try {
    return sharesMemory(process, other);
  } catch (error) {
    // Ended meanwhile, or not ours to ask about: then it is somebody else's.
    if (error instanceof TargetError) return false;
    throw error;
  }
}

function notAlone(process: number, other: number, why: TargetError): TargetError {
  return new TargetError(
    `process ${process} shares its memory with process ${other}${nameOf(other)}, which would meet its breakpoints, and which cannot be traced: ${why.message}`,
    why.remedy === undefined ? {} : { remedy: why.remedy },
  );
}

function threadsOf(process: number): ThreadId[] {
  try {
    return readdirSync(`/proc/${process}/task`).map((name) => Number(name) as ThreadId);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Refuses what cannot or must not be traced, before anything is changed. @returns the process ID */
function refuse(pid: number): number {
  let status: StatusFields;
  try {
    status = readStatus(pid);
  } catch (error) {
    if (error instanceof TargetGone) throw new TargetError(`no such process: ${pid}`);
    throw error;
  }
  const group = status.number("Tgid");
  if (group === process.pid) throw new TargetError(`${pid} is Trapline itself: it cannot trace itself`);
  if ((Number(readStat(pid)[FLAGS]) & PF_KTHREAD) !== 0)
    throw new TargetError(
      `${pid} (${status.text("Name")}) is a kernel thread: only processes can be traced`,
      {
        remedy: "probe the kernel through a GDB stub instead",
      },
    );
  if (threadsOf(group).every(isEnding))
    throw new TargetError(`process ${group} has already ended (a zombie that its parent has not waited for)`);
  const tracing = status.number("TracerPid");
  if (tracing !== 0)
    throw new TargetError(`process ${group} is already traced by process ${tracing}${nameOf(tracing)}`, {
      remedy: "a process can have one tracer only: end the other one first",
    });
  refuseOtherMachines(group);
  return group;
}

function isEnding(thread: number): boolean {
  try {
    const state = readStat(thread)[0];
    return state === "Z" || state === "X";
  } catch (error) {
    if (error instanceof TargetGone) return true;
    throw error;
  }
}

function nameOf(pid: number): string {
  try {
    return ` (${readFile(pid, "comm").trim()})`;
  } catch (error) {
    if (error instanceof TargetGone) return "";
    throw error;
  }
}

function tracedBy(thread: number): number {
  try {
    return readStatus(thread).number("TracerPid");
  } catch (error) {
    if (error instanceof TargetGone) return 0;
    throw error;
  }
}

const ELF_CLASS_64 = 2;
const EM_X86_64 = 62;

/** Looks at the ELF header of the main program. */
function refuseOtherMachines(pid: number): void {
  const header = Buffer.alloc(20);
  try {
    const file = openSync(`/proc/${pid}/exe`, "r");
    readSync(file, header, 0, header.length, 0);
    closeSync(file);
  } catch {
    // Not ours to read: seizing will say why.
    return;
  }
  if (header.readUInt32BE(0) !== 0x7f454c46) return; // "\x7fELF"
  if (header[4] !== ELF_CLASS_64)
    throw new TargetError(`process ${pid} is a 32-bit program: only x86-64 programs can be traced`);
  if (header.readUInt16LE(18) !== EM_X86_64)
    throw new TargetError(`process ${pid} is not an x86-64 program (ELF machine ${header.readUInt16LE(18)})`);
}

/** Words for EPERM of PTRACE_SEIZE: which rule of ptrace(2), "Ptrace access mode checking", it was. */
function notPermitted(pid: number, thread: number, result: number): TargetError {
  if (result !== -ERRNO.EPERM)
    return new TargetError(`cannot trace thread ${thread} of process ${pid}: ${errorName(result)}`);
  const other = tracedBy(thread);
  if (other !== 0)
    return new TargetError(`process ${pid} is already traced by process ${other}${nameOf(other)}`);
  const theirs = readStatus(pid).number("Uid");
  const ours = process.geteuid?.() ?? -1;
  if (ours !== 0 && theirs !== ours)
    return new TargetError(
      `not permitted to trace process ${pid}: it belongs to user ${theirs}, we are ${ours}`,
      {
        remedy: "run as that user or as root",
      },
    );
  const scope = yamaScope();
  if (scope >= 3)
    return new TargetError(
      "not permitted to trace: kernel.yama.ptrace_scope is 3, which allows no ptrace at all",
      {
        remedy: "boot with a lower kernel.yama.ptrace_scope",
      },
    );
  if (scope >= 1 && ours !== 0)
    return new TargetError(`not permitted to trace process ${pid}: kernel.yama.ptrace_scope is ${scope}`, {
      remedy:
        scope === 1
          ? "launch the program with -c, run as root, or set kernel.yama.ptrace_scope to 0 (sysctl)"
          : "run as root, or set kernel.yama.ptrace_scope to 0 (sysctl)",
    });
  return new TargetError(
    `not permitted to trace process ${pid}: it is not dumpable (set-user-ID, or it asked for it by prctl), or CAP_SYS_PTRACE is missing here`,
    { remedy: "run with CAP_SYS_PTRACE (containers: --cap-add=SYS_PTRACE)" },
  );
}

/** kernel.yama.ptrace_scope; 0 where the kernel has no Yama. */
function yamaScope(): number {
  try {
    return Number(readFileSync("/proc/sys/kernel/yama/ptrace_scope", "utf8"));
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}
