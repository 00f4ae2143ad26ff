import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, type BigIntStats } from "node:fs";
import { TargetError } from "../../base/errors.js";
import { fileNameBytes, fileNameOf } from "../../base/file-name.js";

/** Bytes of an ELF file, read piece by piece: a debug file can be larger than memory. */
export interface ByteSource {
  /** For error messages: the path, as it was given. */
  readonly name: string;
  readonly size: number;
  /** @throws TargetError the range is not in the file, or the file cannot be read */
  read(offset: number, length: number): Buffer;
  close(): void;
}

/** What tells one content of one file from another; a file that is written anew gets another. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly modified: bigint;
}

export function sameFile(one: FileIdentity, other: FileIdentity): boolean {
  return (
    one.device === other.device &&
    one.inode === other.inode &&
    one.size === other.size &&
    one.modified === other.modified
  );
}

/**
 * The bytes of a regular file. The descriptor stays open until {@link ByteSource.close}, so that
 * what is read later is of the same file, also where it was replaced or deleted in between.
 *
 * @throws TargetError it cannot be opened or is not a regular file
 */
export function openSource(path: string): ByteSource & { readonly identity: FileIdentity } {
  let descriptor: number;
  try {
    // O_NONBLOCK: a name that turns out to be a FIFO must not hold us until somebody writes to it.
    descriptor = openSync(
      fileNameBytes(path),
      constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
  } catch (cause) {
    throw new TargetError(`cannot open ${path}: ${reasonOf(cause)}`, { cause });
  }
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    if (!stats.isFile()) throw new TargetError(`cannot read ${path}: ${fileKind(stats)}, not a file`);
    return new FileSource(path, descriptor, stats);
  } catch (cause) {
    closeSync(descriptor);
    throw cause;
  }
}

/** A path without symbolic links; unchanged where that cannot be told, as when the file has just been deleted. */
export function realPathOf(path: string): string {
  try {
    const name = fileNameBytes(path);
    // Node's own realpath takes names for text, the system's does not; it is for those that are none.
    return typeof name === "string" ? realpathSync(name) : fileNameOf(realpathSync.native(name, "buffer"));
  } catch (cause) {
    if (cause instanceof Error && "code" in cause) return path;
    throw cause;
  }
}

/** Bytes that are in memory already. They are not copied: the caller leaves them alone. */
export function bytesSource(bytes: Uint8Array, name: string): ByteSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    name,
    size: buffer.length,
    read(offset, length) {
      checkRange(name, buffer.length, offset, length);
      return buffer.subarray(offset, offset + length);
    },
    close() {
      // Memory is given back by the collector.
    },
  };
}

class FileSource implements ByteSource {
  readonly size: number;
  readonly identity: FileIdentity;
  private open = true;

  constructor(
    readonly name: string,
    private readonly descriptor: number,
    stats: BigIntStats,
  ) {
    this.size = Number(stats.size);
    this.identity = { device: stats.dev, inode: stats.ino, size: stats.size, modified: stats.mtimeNs };
  }

  read(offset: number, length: number): Buffer {
    checkRange(this.name, this.size, offset, length);
    // A number that was a descriptor once may be another file's by now.
    if (!this.open) throw new TargetError(`cannot read ${this.name}: it was closed`);
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      let count: number;
      try {
        count = readSync(this.descriptor, bytes, done, length - done, offset + done);
      } catch (cause) {
        throw new TargetError(`cannot read ${this.name}: ${reasonOf(cause)}`, { cause });
      }
      if (count === 0) throw new TargetError(`${this.name} became shorter while it was read`);
      done += count;
    }
    return bytes;
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    closeSync(this.descriptor);
  }
}

function checkRange(name: string, size: number, offset: number, length: number): void {
  // Written so that NaN and numbers too large to be exact fail as well.
  if (offset >= 0 && length >= 0 && offset + length <= size) return;
  throw new TargetError(
    `${name} is truncated or damaged: bytes 0x${offset.toString(16)} to 0x${(offset + length).toString(16)} are needed, ` +
      `the file has 0x${size.toString(16)}`,
  );
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  ENOTDIR: "a part of the path is not a directory",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
  ENXIO: "nobody is at the other end of it",
  ESRCH: "no such process",
  EMFILE: "too many open files",
  EIO: "input/output error",
};

/** The system's reason for a failed call, in words. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const code = "code" in cause ? String(cause.code) : undefined;
  if (code === undefined) return cause.message;
  return REASONS[code] ?? code;
}

function fileKind(stats: BigIntStats): string {
  if (stats.isDirectory()) return "it is a directory";
  if (stats.isFIFO()) return "it is a FIFO";
  if (stats.isSocket()) return "it is a socket";
  return "it is a device";
}
