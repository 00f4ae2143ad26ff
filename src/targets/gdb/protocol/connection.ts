import { closeFile, ERRNO, errorName, SharedBytes, SYS, systemCall3 } from "../../system-calls.js";
import { StubError } from "./errors.js";

const POLLIN = 0x1;
const POLLOUT = 0x4;
/** Bytes taken from the kernel at once. */
const CHUNK = 65536;
/** poll(2) takes milliseconds as an int. */
const LONGEST_POLL = 2 ** 31 - 1;

/** A two-way stream of bytes to a stub. */
export interface Connection extends Disposable {
  /** As a sentence names it. */
  readonly name: string;

  /** What {@link read} read. */
  readonly received: Uint8Array;

  /** The clock of all deadlines here, milliseconds: `performance.now()`, or what a test makes of it. */
  now(): number;

  /** @throws StubError lost, or nobody takes it in time */
  write(bytes: Uint8Array, length: number, until: number): void;

  /**
   * Waits for bytes.
   *
   * @param until as {@link now} counts; Infinity: for ever
   * @returns how many are in {@link received}; 0 at the deadline
   * @throws StubError the other side is gone
   */
  read(until: number): number;
}

/** A stream over a descriptor that does not block by itself (O_NONBLOCK). */
export class DescriptorConnection implements Connection {
  readonly received: Uint8Array;
  private readonly input = new SharedBytes(CHUNK);
  private output = new SharedBytes(4096);
  /** `struct pollfd`: descriptor, events and what happened, 16 bits each. */
  private readonly poll = new SharedBytes(8);
  private isOpen = true;

  /**
   * @param descriptor from here on ours to close
   * @param closed     called once, behind that
   */
  constructor(
    readonly name: string,
    private readonly descriptor: number,
    private readonly closed: () => void = () => undefined,
  ) {
    this.received = this.input.bytes;
    this.poll.view.setInt32(0, descriptor, true);
  }

  now(): number {
    return performance.now();
  }

  write(bytes: Uint8Array, length: number, until: number): void {
    if (this.output.bytes.length < length) this.output = new SharedBytes(2 * length);
    this.output.bytes.set(length === bytes.length ? bytes : bytes.subarray(0, length));
    for (let written = 0; written < length;) {
      this.mustBeOpen();
      const result = systemCall3(SYS.write, this.descriptor, this.output.address + written, length - written);
      if (result >= 0) written += result;
      else if (result === -ERRNO.EAGAIN) {
        if (!this.ready(POLLOUT, until)) throw this.error("silent", "takes no bytes from us any more");
      } else if (result !== -ERRNO.EINTR) throw this.lost(result);
    }
  }

  read(until: number): number {
    for (;;) {
      this.mustBeOpen();
      // An answer is never there at once: first wait, then read.
      if (!this.ready(POLLIN, until)) return 0;
      const result = systemCall3(SYS.read, this.descriptor, this.input.address, CHUNK);
      if (result > 0) return result;
      if (result === 0) throw this.error("closed", "the stub has closed the connection");
      if (result !== -ERRNO.EAGAIN && result !== -ERRNO.EINTR) throw this.lost(result);
    }
  }

  [Symbol.dispose](): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    closeFile(this.descriptor);
    this.closed();
  }

  /** Waits until the descriptor is ready for something, an error to be told by read or write included. */
  private ready(events: number, until: number): boolean {
    for (;;) {
      this.poll.view.setInt32(4, events, true);
      const left = until - performance.now();
      const wait = left === Infinity ? -1 : Math.min(Math.max(0, Math.ceil(left)), LONGEST_POLL);
      const result = systemCall3(SYS.poll, this.poll.address, 1, wait);
      if (result > 0) return true;
      if (result < 0 && result !== -ERRNO.EINTR) throw this.lost(result);
      // Also after a signal: who sent it wants to be heard, at the latest at the deadline.
      if (performance.now() >= until) return false;
    }
  }

  private mustBeOpen(): void {
    if (!this.isOpen) throw this.error("closed", "the connection was closed by us");
  }

  private lost(result: number): StubError {
    return this.error("closed", `the connection is lost: ${errorName(result)}`);
  }

  private error(kind: "closed" | "silent", what: string): StubError {
    return new StubError(kind, `${this.name}: ${what}`);
  }
}
