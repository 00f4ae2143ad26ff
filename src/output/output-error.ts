import { TraplineError } from "../base/errors.js";

/** What the codes that a write can meet mean to the reader. Linux write(2), close(2). */
const REASONS: Readonly<Record<string, { readonly what: string; readonly remedy?: string }>> = {
  EPIPE: { what: "its reader has gone away" },
  ENOSPC: { what: "the device is full", remedy: "free some space or write elsewhere with -o" },
  EDQUOT: { what: "the disk quota is used up", remedy: "free some space or write elsewhere with -o" },
  EFBIG: { what: "the file would become larger than the limit (ulimit -f)" },
  EIO: { what: "the device reported an error" },
  EBADF: { what: "it is not open for writing" },
  EAGAIN: { what: "its reader has taken nothing for too long" },
};

/** Output could not be written; the session cannot go on honestly. */
export class OutputError extends TraplineError {
  /**
   * @param code      `errno`'s name; EAGAIN: a full pipe, waited for in vain
   * @param bytesLost bytes that were given to the writer and not written
   */
  constructor(
    readonly destination: string,
    readonly code: string,
    readonly bytesLost: number,
    cause: unknown,
  ) {
    const reason = REASONS[code];
    const lost = bytesLost === 0 ? "" : `; ${bytesLost} bytes are lost`;
    super(`cannot write to ${destination}: ${reason?.what ?? code} (${code})${lost}`, {
      cause,
      ...(reason?.remedy === undefined ? {} : { remedy: reason.remedy }),
    });
  }
}

/** `"ENOENT"` of an error that Node made from an errno; anything else is a bug of ours and goes on. */
export function systemErrorCode(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string" && "errno" in error) {
    return error.code;
  }
  throw error;
}
