import { readlinkSync } from "node:fs";
import { TargetGone } from "../../base/errors.js";
import { fileNameOf } from "../../base/file-name.js";
import type { ThreadFacts } from "../target.js";
import { readFile, readStat, readStatus } from "./process-files.js";

/** Field 39 of `/proc/TID/stat`, counted from field 3. */
const PROCESSOR = 39 - 3;

/** What `/proc` says about a thread now. Nothing is kept: names change by prctl, users by setuid. */
export function readFacts(thread: number): ThreadFacts {
  const status = readStatus(thread);
  return {
    process: status.number("Tgid"),
    thread,
    parentProcess: status.number("PPid"),
    processor: processorOf(thread),
    executable: executableOf(thread),
    // The status escapes the name, this file does not.
    name: readFile(thread, "comm").replace(/\n$/, ""),
    user: status.number("Uid"),
    group: status.number("Gid"),
  };
}

/** Whether a thread has a shadow stack. Documentation/arch/x86/shstk.rst of the kernel. */
export function hasShadowStack(thread: number): boolean {
  return (readStatus(thread).get("x86_Thread_features") ?? "").split(" ").includes("shstk");
}

/** Whether a thread runs, or would, had it a processor. */
export function isRunnable(thread: number): boolean {
  try {
    return readStat(thread)[0] === "R";
  } catch (error) {
    if (error instanceof TargetGone) return false;
    throw error;
  }
}

/** The processor that a thread ran on last. */
function processorOf(thread: number): number {
  return Number(readStat(thread)[PROCESSOR]);
}

/** Path of the main program as the kernel shows it (` (deleted)` included); `""` where it may not be seen. */
function executableOf(thread: number): string {
  try {
    return fileNameOf(readlinkSync(`/proc/${thread}/exe`, "buffer"));
  } catch (error) {
    // Gone, or not ours to look at.
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}
