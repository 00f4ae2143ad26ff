import { StubError } from "./errors.js";
import type { Exchange } from "./exchange.js";
import { hexOfText } from "./hex.js";
import type { PacketBuilder } from "./packet-builder.js";
import { unescapeBinary } from "./packets.js";

/** The largest object that is read from a stub, bytes. */
const LARGEST = 16 * 2 ** 20;
/** The largest file: programs with all that debuggers want. */
const LARGEST_FILE = 512 * 2 ** 20;
const MORE = 0x6d; // m
const LAST = 0x6c; // l

/**
 * Reads one of the stub's objects (`qXfer:OBJECT:read`): `features` `target.xml`, `auxv`, `exec-file`,
 * `libraries-svr4`, `siginfo`, `threads`.
 *
 * @throws StubError the stub does not have it
 */
export function readObject(
  exchange: Exchange,
  packet: PacketBuilder,
  packetSize: number,
  object: string,
  annex: string,
): Uint8Array<ArrayBuffer> {
  const what = `give us its ${object}${annex === "" ? "" : ` ${annex}`}`;
  const chunk = Math.max(16, packetSize - 4);
  let all = new Uint8Array(1024);
  let length = 0;
  for (;;) {
    exchange.ask(packet.start(`qXfer:${object}:read:${annex}:`).hex(length).text(",").hex(chunk));
    const kind = exchange.replyLength === 0 ? 0 : exchange.reply[0];
    if (kind !== MORE && kind !== LAST) throw exchange.unexpected(what);
    const end = unescapeBinary(exchange.reply, 1, exchange.replyLength);
    if (end < 0) throw exchange.nonsense(what);
    const more = end - 1;
    if (length + more > LARGEST)
      throw exchange.fail("nonsense", `has ${object} of more than ${LARGEST} bytes`);
    if (length + more > all.length) {
      const larger = new Uint8Array(2 * (length + more));
      larger.set(all.subarray(0, length));
      all = larger;
    }
    all.set(exchange.reply.subarray(1, end), length);
    length += more;
    if (kind === LAST) return all.slice(0, length);
    if (more === 0) throw exchange.nonsense(what);
  }
}

/** A file of the machine that the stub runs on. */
export interface HostFile {
  readonly descriptor: number;
}

/** An error of a file operation on the stub's machine: the file is not there, may not be read. */
export class HostFileError extends StubError {
  constructor(
    message: string,
    /** The protocol's own numbers: 2 ENOENT, 13 EACCES, 3 ESRCH. GDB manual, "Errno Values". */
    readonly errno: number,
  ) {
    super("refused", message);
  }
}

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map([
  [1, "EPERM"],
  [2, "ENOENT"],
  [3, "ESRCH"],
  [4, "EINTR"],
  [5, "EIO"],
  [9, "EBADF"],
  [13, "EACCES"],
  [14, "EFAULT"],
  [21, "EISDIR"],
  [22, "EINVAL"],
  [24, "EMFILE"],
  [88, "ENOSYS"],
]);

/** Files of the stub's machine by `vFile`. GDB manual, "Host I/O Packets". */
export class HostFiles {
  constructor(
    private readonly exchange: Exchange,
    private readonly packet: PacketBuilder,
    private readonly packetSize: number,
  ) {}

  /**
   * Reads a whole file, of `/proc` for instance, whose length nobody knows before.
   *
   * @param most refuse to read more, bytes
   * @throws HostFileError it cannot be read
   * @throws StubError     the stub has no such packets
   */
  read(path: string, most: number = LARGEST_FILE): Buffer {
    const file = this.open(path);
    try {
      const chunk = this.chunk;
      const parts: Uint8Array[] = [];
      let length = 0;
      for (;;) {
        const part = this.pread(file, length, chunk, path);
        if (part.length === 0) return Buffer.concat(parts, length);
        length += part.length;
        if (length > most) throw this.exchange.fail("nonsense", `has a ${path} of more than ${most} bytes`);
        parts.push(part);
      }
    } finally {
      if (this.exchange.isBroken === undefined) this.close(file);
    }
  }

  /** A file for reading. */
  open(path: string): HostFile {
    const result = this.call(`open:${hexOfText(path)},0,0`, `open ${path}`);
    return { descriptor: result };
  }

  /** Bytes asked for at once. Where they do not fit, escaped, the stub gives fewer. */
  get chunk(): number {
    return Math.max(16, this.packetSize - 16);
  }

  /** @returns fewer bytes than asked for at the end of the file, or where the stub gives no more at once */
  pread(file: HostFile, offset: number, length: number, path: string): Uint8Array {
    const { exchange, packet } = this;
    const what = `read ${path}`;
    exchange.ask(
      packet
        .start("vFile:pread:")
        .hex(file.descriptor)
        .text(",")
        .hex(Math.min(length, this.chunk))
        .text(",")
        .hex(offset),
    );
    const count = this.result(what);
    return this.attachment(count, what);
  }

  close(file: HostFile): void {
    this.call(`close:${file.descriptor.toString(16)}`, "close a file");
  }

  readlink(path: string): string {
    const what = `read the link ${path}`;
    this.exchange.ask(this.packet.start(`vFile:readlink:${hexOfText(path)}`));
    const count = this.result(what);
    return Buffer.from(this.attachment(count, what)).toString("utf8");
  }

  /** Files as a process sees them; 0: as the stub sees them. @returns whether the stub can */
  setFileSystemOf(process: number): boolean {
    this.exchange.ask(this.packet.start("vFile:setfs:").hex(process));
    if (this.exchange.replyLength === 0) return false;
    this.result(`use the file system of process ${process}`);
    return true;
  }

  private call(operation: string, what: string): number {
    this.exchange.ask(this.packet.start(`vFile:${operation}`));
    return this.result(what);
  }

  /** `F result [, errno] [; attachment]` */
  private result(what: string): number {
    const { exchange } = this;
    const head = Buffer.from(
      exchange.reply.buffer,
      exchange.reply.byteOffset,
      Math.min(exchange.replyLength, 40),
    ).toString("latin1");
    const match = /^F(-?[0-9a-f]{1,15})(?:,([0-9a-f]{1,8}))?(?:;|$)/i.exec(head);
    if (match?.[1] === undefined) throw exchange.unexpected(what);
    const value = Number.parseInt(match[1], 16);
    if (value >= 0) return value;
    const errno = Number.parseInt(match[2] ?? "0", 16);
    throw new HostFileError(
      `${exchange.name}: the stub cannot ${what}: ${ERRNO_NAMES.get(errno) ?? `error ${errno}`}`,
      errno,
    );
  }

  private attachment(count: number, what: string): Uint8Array {
    const { exchange } = this;
    const semicolon = exchange.reply.subarray(0, exchange.replyLength).indexOf(0x3b);
    const start = semicolon < 0 ? exchange.replyLength : semicolon + 1;
    const end = unescapeBinary(exchange.reply, start, exchange.replyLength);
    if (end - start !== count) throw exchange.nonsense(what);
    return exchange.reply.slice(start, end);
  }
}
