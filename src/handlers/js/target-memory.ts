import type { ByteString } from "../../runtime/byte-string.js";
import { describeFault, type HandlerContext } from "../../runtime/context.js";
import { escapeString } from "../../runtime/escape.js";
import type { ReadFault } from "../../runtime/read-fault.js";
import { readBytes, readInteger, readString } from "./memory-reads.js";

/**
 * Functions that read strings and numbers from the target's memory, by their names.
 *
 * @param whose the kernel's, or that of the process that is current: the names begin by it
 */
export function targetMemory(k: HandlerContext, whose: "user" | "kernel"): Record<string, unknown> {
  const most = k.services.limits.MAXSTRINGLEN;
  // A program's pointer into the kernel must not show what is there.
  const refused = whose === "user" ? (at: bigint) => at < 0n : () => false;
  const integer = (bytes: 1 | 2 | 4 | 8, isSigned: boolean) => (at: bigint) =>
    refused(at) ? k.readFault.ofKernel(at) : readInteger(k.readFault, k.thread, at, bytes, isSigned);
  const text = (at: bigint, length: number): ByteString | ReadFault =>
    refused(at) ? k.readFault.ofKernel(at) : readString(k.readFault, k.thread, at, length);
  /** What a bad address gives where the function has an answer for it. */
  const orElse = (read: ByteString | ReadFault, answer: (fault: ReadFault) => ByteString): ByteString => {
    if (typeof read === "string") return read;
    k.contained();
    return answer(read);
  };
  const string = (at: bigint, message: ByteString | undefined, length = most - 1): ByteString | ReadFault => {
    const read = text(at, length);
    return message === undefined ? read : orElse(read, () => message);
  };
  const warned = (at: bigint, message: ByteString, length = most - 1): ByteString =>
    orElse(text(at, length), (fault) => {
      k.services.warn(describeFault(fault.address, k.where));
      return message;
    });
  const quotedString = (at: bigint, length = most - 1): ByteString => {
    const read = text(at, length);
    return orElse(
      typeof read === "string" ? quoted(read) : read,
      () => `0x${BigInt.asUintN(64, at).toString(16)}`,
    );
  };
  const quoted = (bytes: ByteString): ByteString =>
    escapeString(bytes, { maxStringLength: most, quoted: true });
  return {
    [`${whose}_string`]: (at: bigint, message?: ByteString) => string(at, message),
    [`${whose}_string2`]: (at: bigint, message: ByteString) => string(at, message),
    [`${whose}_string_n`]: (at: bigint, length: bigint, message?: ByteString) =>
      string(at, message, bounded(length, most)),
    [`${whose}_string_warn`]: (at: bigint, message: ByteString = "") => warned(at, message),
    [`${whose}_string_n_warn`]: (at: bigint, length: bigint, message: ByteString = "") =>
      warned(at, message, bounded(length, most)),
    [`${whose}_string_quoted`]: (at: bigint) => quotedString(at),
    [`${whose}_string_n_quoted`]: (at: bigint, length: bigint) => quotedString(at, bounded(length, most)),
    [`${whose}_char`]: integer(1, true),
    [`${whose}_int8`]: integer(1, true),
    [`${whose}_uint8`]: integer(1, false),
    [`${whose}_short`]: integer(2, true),
    [`${whose}_int16`]: integer(2, true),
    [`${whose}_ushort`]: integer(2, false),
    [`${whose}_uint16`]: integer(2, false),
    [`${whose}_int`]: integer(4, true),
    [`${whose}_int32`]: integer(4, true),
    [`${whose}_uint`]: integer(4, false),
    [`${whose}_uint32`]: integer(4, false),
    [`${whose}_long`]: integer(8, true),
    [`${whose}_int64`]: integer(8, true),
    [`${whose}_ulong`]: integer(8, false),
    [`${whose}_uint64`]: integer(8, false),
  };
}

/** Functions of bytes that need not be text. */
export function targetBuffers(k: HandlerContext): Record<string, unknown> {
  const most = k.services.limits.MAXSTRINGLEN;
  const read = (at: bigint, length: bigint, shown = BigInt(most - 1)): ByteString | ReadFault => {
    const bytes = readBytes(k.readFault, k.thread, at, bounded(length < shown ? length : shown, most));
    return typeof bytes === "string"
      ? escapeString(bytes, { maxStringLength: most, quoted: true, buffer: true })
      : bytes;
  };
  return {
    user_buffer_quoted: (at: bigint, length: bigint, shown: bigint) => {
      if (at < 0n) return k.readFault.ofKernel(at);
      return at === 0n ? "NULL" : read(at, length, shown);
    },
    kernel_buffer_quoted: (at: bigint, length: bigint, shown?: bigint): ByteString => {
      const text = read(at, length, shown);
      if (typeof text === "string") return text;
      k.contained();
      return `0x${BigInt.asUintN(64, at).toString(16)}`;
    },
    kernel_buffer_quoted_error: read,
    kernel_pointer: (at: bigint) => readInteger(k.readFault, k.thread, at, 8, false),
  };
}

function bounded(length: bigint, most: number): number {
  return Math.max(0, Math.min(Number(length), most - 1));
}
