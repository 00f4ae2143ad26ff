import { writeSync } from "node:fs";

const RETRY_MILLISECONDS = 5;

/**
 * Writes all of `text` to a descriptor, synchronously.
 *
 * Not `process.stdout` or `process.stderr`: opening these makes a pipe non-blocking, and a command
 * that we launch shares the pipe and would meet EAGAIN, which it never does when run from a shell.
 *
 * @returns false where nobody reads any more (EPIPE, or EIO from a terminal that hung up)
 * @throws  the error of write(2) in every other case
 */
export function writeFully(descriptor: number, text: string | Uint8Array): boolean {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(descriptor, bytes, written);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE" || code === "EIO") return false;
      if (code !== "EAGAIN") throw error;
      // Whoever gave us the descriptor made it non-blocking: wait as a blocking write would.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MILLISECONDS);
    }
  }
  return true;
}
