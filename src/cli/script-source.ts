import { closeSync, openSync, readSync } from "node:fs";
import { closest } from "../base/closest.js";
import { UsageError } from "../base/errors.js";
import type { SessionOptions } from "../session/options.js";
import type { ScriptSource } from "./command-line.js";

/** SystemTap's name for a script that has no file. */
const UNNAMED = "<input>";

/** @throws UsageError the file cannot be read: which, why, and what may have been meant */
export function readScript(source: ScriptSource): SessionOptions["script"] {
  switch (source.kind) {
    case "none":
      return { name: UNNAMED, text: "" };
    case "text":
      return { name: UNNAMED, text: source.text };
    case "standard-input":
      return { name: UNNAMED, text: decode(readToEnd(0, "standard input"), "standard input") };
    case "file":
      return { name: source.path, text: decode(readFile(source.path), source.path) };
  }
}

function readFile(path: string): Uint8Array {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw unreadable(path, error as NodeJS.ErrnoException);
  }
  try {
    return readToEnd(file, path);
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, error: NodeJS.ErrnoException): UsageError {
  const reason = REASONS[error.code ?? ""] ?? error.message;
  return new UsageError(`cannot read script '${path}': ${reason}${hint(path, error)}`, { cause: error });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENAMETOOLONG: "the name is too long",
};

function hint(path: string, error: NodeJS.ErrnoException): string {
  if (error.code !== "ENOENT" && error.code !== "ENAMETOOLONG") return "";
  if (/^\s*(probe|global|function)\b|[{}]/.test(path)) return "; a script as text goes behind -e";
  return closest(path, ["doctor"]) === undefined ? "" : "; did you mean 'trapline doctor'?";
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UsageError(`cannot read script '${name}': it is not UTF-8 text`, { cause: error });
  }
}

const RETRY_MILLISECONDS = 10;

/** Nobody writes a longer script; a device such as /dev/zero has no end at all. */
const MOST_MEGABYTES = 16;

/** Not `process.stdin`: that makes a pipe non-blocking for a launched command, which shares it. */
function readToEnd(file: number, name: string): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let total = 0; ;) {
    const part = new Uint8Array(65_536);
    try {
      const length = readSync(file, part);
      if (length === 0) return Buffer.concat(parts);
      total += length;
      parts.push(part.subarray(0, length));
    } catch (error) {
      const failure = error as NodeJS.ErrnoException;
      if (failure.code !== "EAGAIN") throw unreadable(name, failure);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MILLISECONDS);
    }
    if (total > MOST_MEGABYTES << 20)
      throw new UsageError(`cannot read script '${name}': it is longer than ${String(MOST_MEGABYTES)} MiB`);
  }
}
