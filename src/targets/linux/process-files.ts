import { readFileSync } from "node:fs";
import { TargetError, TargetGone } from "../../base/errors.js";
import { parseStat, StatusFields } from "../process-status.js";
import { errorName } from "../system-calls.js";

/** @throws TargetGone no such thread */
export function readStatus(thread: number): StatusFields {
  return new StatusFields(readFile(thread, "status"), `/proc/${thread}/status`);
}

/** A file of `/proc/TID` as text. @throws TargetGone no such thread @throws TargetError it cannot be read */
export function readFile(thread: number, name: string): string {
  return readBytes(thread, name).toString("utf8");
}

/** As {@link readFile}, where names of files are in it. */
export function readBytes(thread: number, name: string): Buffer {
  const path = `/proc/${thread}/${name}`;
  try {
    return readFileSync(path);
  } catch (error) {
    if (isGone(error)) throw new TargetGone(`thread ${thread} is gone`, { cause: error });
    if (!(error instanceof Error && "errno" in error && typeof error.errno === "number")) throw error;
    throw new TargetError(`cannot read ${path}: ${errorName(error.errno)}`, { cause: error });
  }
}

/** True for what reading /proc gives about a thread that ended. */
export function isGone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ESRCH";
}

/** @throws TargetGone no such thread @throws TargetError as {@link parseStat} */
export function readStat(thread: number): readonly string[] {
  return parseStat(readFile(thread, "stat"), `/proc/${thread}/stat`);
}
