import { readFileSync } from "node:fs";
import { TargetGone } from "../../base/errors.js";
import { isGone } from "./memory.js";

/** Fields of `/proc/TID/status`, by name. proc_pid_status(5). @throws TargetGone no such thread */
export function readStatus(thread: number): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const line of readFile(thread, "status").split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return fields;
}

/** One field of a status. @throws Error where the kernel does not have it */
export function statusField(status: ReadonlyMap<string, string>, name: string): string {
  const value = status.get(name);
  if (value === undefined) throw new Error(`/proc/PID/status has no ${name}`);
  return value;
}

/** A file of `/proc/TID`. @throws TargetGone no such thread */
export function readFile(thread: number, name: string): string {
  try {
    return readFileSync(`/proc/${thread}/${name}`, "utf8");
  } catch (error) {
    if (isGone(error)) throw new TargetGone(`thread ${thread} is gone`, { cause: error });
    throw error;
  }
}

/**
 * Fields of `/proc/TID/stat` after the name, so that index 0 is field 3 (state).
 * The name may hold blanks and parentheses. proc_pid_stat(5).
 */
export function readStat(thread: number): readonly string[] {
  const text = readFile(thread, "stat");
  return text
    .slice(text.lastIndexOf(")") + 2)
    .trimEnd()
    .split(" ");
}
