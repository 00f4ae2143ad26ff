import { readlinkSync } from "node:fs";
import type { ThreadFacts } from "../target.js";
import { isGone } from "./memory.js";
import { readFile, readStat, readStatus, statusField } from "./process-files.js";

/** Field 39 of `/proc/TID/stat`, counted from field 3. */
const PROCESSOR = 39 - 3;

/** What `/proc` says about a thread now. Nothing is kept: names change by prctl, users by setuid. */
export function readFacts(thread: number): ThreadFacts {
  const status = readStatus(thread);
  return {
    process: Number(statusField(status, "Tgid")),
    thread,
    parentProcess: Number(statusField(status, "PPid")),
    processor: processorOf(thread),
    executable: executableOf(thread),
    // The status escapes the name, this file does not.
    name: readFile(thread, "comm").replace(/\n$/, ""),
    user: Number(statusField(status, "Uid").split("\t")[0]),
    group: Number(statusField(status, "Gid").split("\t")[0]),
  };
}

/** The processor that a thread ran on last. */
function processorOf(thread: number): number {
  return Number(readStat(thread)[PROCESSOR]);
}

/** Path of the main program as the kernel shows it (` (deleted)` included); `""` where it may not be seen. */
function executableOf(thread: number): string {
  try {
    return readlinkSync(`/proc/${thread}/exe`);
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}
