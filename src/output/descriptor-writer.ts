import { closeSync, openSync, writeSync } from "node:fs";
import { UsageError } from "../base/errors.js";
import { type ByteString, fromText } from "../runtime/byte-string.js";
import { OutputError, systemErrorCode } from "./output-error.js";

const BUFFER_BYTES = 65_536;
/** Between two looks at a pipe that is full: first and longest pause, milliseconds. */
const FIRST_PAUSE = 1;
const LONGEST_PAUSE = 50;

export interface WriterOptions {
  /** What an error message calls it: `standard output`, a file's name. */
  readonly name: string;
  /** How long a full pipe whose reader takes nothing is waited for; milliseconds. */
  readonly patience?: number;
  /** How old buffered bytes may become before {@link DescriptorWriter.flushIfDue} writes them; milliseconds. */
  readonly delay?: number;
  /** Close the descriptor with the writer. */
  readonly owned?: boolean;
  /**
   * What cannot be written is lost, and nothing is thrown: for messages, which nobody may be reading.
   * The writer is broken then, as any other.
   */
  readonly lossy?: boolean;
}

/**
 * Writes bytes to a file descriptor, in order, 64 KiB at a time, synchronously. process.stdout is not
 * used: it makes pipes non-blocking for every process that shares them, and what it has not written
 * when the process exits is lost.
 *
 * The owner flushes when it becomes idle, and closes at the end. The first failure is thrown, as an
 * {@link OutputError}; the writer is then broken: each later write throws it again, `close` does not.
 */
export class DescriptorWriter {
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #used = 0;
  #oldest = 0;
  #broken: OutputError | undefined;
  readonly #name: string;
  readonly #patience: number;
  readonly #delay: number;
  readonly #owned: boolean;
  readonly #lossy: boolean;

  constructor(
    readonly descriptor: number,
    options: WriterOptions,
  ) {
    this.#name = options.name;
    this.#patience = options.patience ?? 60_000;
    this.#delay = options.delay ?? 100;
    this.#owned = options.owned ?? false;
    this.#lossy = options.lossy ?? false;
  }

  /** A write has failed; it was said by throwing, unless the writer may lose what it is given. */
  get broken(): boolean {
    return this.#broken !== undefined;
  }

  /** @throws OutputError what was buffered before could not be written */
  write(bytes: ByteString): void {
    if (this.#refuses()) return;
    if (this.#used === 0) this.#oldest = performance.now();
    for (let from = 0; from < bytes.length;) {
      if (this.#used === BUFFER_BYTES) this.flush();
      const part =
        bytes.length - from <= BUFFER_BYTES - this.#used && from === 0
          ? bytes
          : bytes.slice(from, from + BUFFER_BYTES - this.#used);
      this.#used += this.#buffer.write(part, this.#used, "latin1");
      from += part.length;
    }
  }

  /** Writes a text as UTF-8. @throws OutputError */
  writeText(text: string): void {
    this.write(fromText(text));
  }

  /** @throws OutputError */
  flush(): void {
    if (this.#refuses()) return;
    let written = 0;
    try {
      while (written < this.#used) written += this.#writeSome(written);
    } catch (error) {
      if (!(error instanceof OutputError)) throw error;
      this.#broken = error;
      if (!this.#lossy) throw error;
    } finally {
      this.#used = 0;
    }
  }

  /** For busy stretches: flushes only what has waited for longer than the delay. @throws OutputError */
  flushIfDue(now?: number): void {
    if (this.#used > 0 && (now ?? performance.now()) - this.#oldest >= this.#delay) this.flush();
  }

  /** Flushes (unless broken, which has been said) and closes an owned descriptor. @throws OutputError */
  close(): void {
    try {
      if (this.#broken === undefined) this.flush();
    } finally {
      if (this.#owned) this.#closeDescriptor();
    }
  }

  /** @returns true where the writer is broken and loses what it is given @throws OutputError it is broken */
  #refuses(): boolean {
    if (this.#broken === undefined) return false;
    if (this.#lossy) return true;
    throw this.#broken;
  }

  /** @returns bytes written, at least one */
  #writeSome(from: number): number {
    const start = performance.now();
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        const written = writeSync(this.descriptor, this.#buffer, from, this.#used - from);
        if (written > 0) return written;
      } catch (error) {
        const code = systemErrorCode(error);
        if (code !== "EAGAIN" && code !== "EINTR") throw this.#failure(code, from, error);
      }
      if (performance.now() - start > this.#patience) throw this.#failure("EAGAIN", from, undefined);
      sleep(pause);
    }
  }

  #failure(code: string, written: number, cause: unknown): OutputError {
    return new OutputError(this.#name, code, this.#used - written, cause);
  }

  #closeDescriptor(): void {
    try {
      closeSync(this.descriptor);
    } catch (error) {
      // Some file systems report only here that what was written did not reach the disk.
      throw new OutputError(this.#name, systemErrorCode(error), 0, error);
    }
  }
}

/** For `-o FILE`: creates or empties it. @throws UsageError it cannot be opened */
export function openFile(path: string): DescriptorWriter {
  try {
    return new DescriptorWriter(openSync(path, "w", 0o666), { name: path, owned: true });
  } catch (error) {
    throw new UsageError(`cannot write to ${path}: ${systemErrorCode(error)}`, { cause: error });
  }
}

/** Stops this thread, as a blocking write would. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
