import { addressOf } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import { fromBytes, fromText, toText } from "../../runtime/byte-string.js";
import { Format, type Value } from "../../runtime/format.js";
import type { Memory } from "../../targets/target.js";

/** SIGSEGV: what `ksetjmp` returns for a fault, as the mail's `setjmp` returned what `longjmp` gave. */
const FAULT_CODE = 11;
const LONGEST_STRING = 4096;
const CHUNK = 256;

/** A fault that a handler of this very hit raised. Private to the hit: a fence of another hit lets it pass. */
class RaisedFault extends Error {
  constructor(
    readonly fault: MemoryFault,
    readonly serial: number,
  ) {
    super(fault.message, { cause: fault });
    this.name = "HandlerFault";
  }
}

/** Leaves the innermost fence with a code of the handler's choice. */
class LongJump extends Error {
  constructor(
    readonly code: number,
    readonly serial: number,
  ) {
    super("klongjmp outside ksetjmp");
  }
}

/** The hit had more faults than `maxfault` allows: no fence stops this one. */
class TooManyFaults extends Error {
  constructor(readonly fault: MemoryFault) {
    super(`${fault.message}: more faults in one hit than maxfault allows`);
  }
}

/** Target memory for handlers: reads and writes that raise a handler fault where the target would fault. */
export interface HandlerMemory {
  /** A copy of `length` bytes. */
  bytes(at: bigint | number, length: number): Uint8Array;
  /** A NUL-terminated string, decoded as UTF-8. @param most bytes, default 4096 */
  string(at: bigint | number, most?: number): string;
  int8(at: bigint | number): number;
  uint8(at: bigint | number): number;
  int16(at: bigint | number): number;
  uint16(at: bigint | number): number;
  int32(at: bigint | number): number;
  uint32(at: bigint | number): number;
  int64(at: bigint | number): bigint;
  uint64(at: bigint | number): bigint;
  write(at: bigint | number, bytes: Uint8Array): void;
}

/** What a handler held when it was cancelled. */
export type Held = readonly string[];

/**
 * What a TypeScript handler works with: fences, target memory, output, things to release.
 * One object for all hits; a handler must not use it after it returned.
 */
export class HandlerKit {
  /** The last fault of this hit's handlers, as text; `""` before the first. */
  fault = "";
  readonly memory: HandlerMemory;

  private serial = 0;
  private depth = 0;
  private faults = 0;
  private fenced = 0;
  private maxfault = 64;
  private target: Memory | undefined;
  private readonly held: { readonly name: string; readonly release: () => void }[] = [];

  constructor(private readonly write: (text: string) => void) {
    this.memory = this.makeMemory();
  }

  /**
   * Runs `body` with faults expected (cases 1 and 4).
   *
   * @returns 0 when it ran through; the fault's code, never 0, when an access in it faulted; the
   *          code of {@link klongjmp}. Exceptions that are no faults of this hit pass through.
   */
  ksetjmp(body: () => void): number {
    this.depth++;
    try {
      body();
      return 0;
    } catch (error) {
      if (error instanceof LongJump && error.serial === this.serial) return error.code;
      if (!(error instanceof RaisedFault) || error.serial !== this.serial) throw error;
      this.fenced++;
      return FAULT_CODE;
    } finally {
      this.depth--;
    }
  }

  /** Leaves the innermost {@link ksetjmp}, which returns `code`. @throws outside of one, or for 0 */
  klongjmp(code: number): never {
    if (code === 0 || !Number.isInteger(code))
      throw new RangeError("klongjmp: the code must be an integer other than 0");
    if (this.depth === 0) throw new Error("klongjmp: no ksetjmp is being run");
    throw new LongJump(code, this.serial);
  }

  /** printf to the trace, as scripts have it; `%s` takes anything, `%d` and its like a number or bigint. */
  printf(format: string, ...values: readonly unknown[]): void {
    const parsed = new Format(fromText(format));
    const wanted = parsed.argumentTypes.map((type, index) => formatValue(values[index], type));
    this.write(toText(parsed.apply(wanted, (at, length) => fromBytes(this.memory.bytes(at, length)))));
  }

  /** Writes one record, as a line of JSON; bigints are written as hexadecimal strings. */
  record(fields: Readonly<Record<string, unknown>>): void {
    this.write(
      `${JSON.stringify(fields, (_key, value: unknown) => (typeof value === "bigint" ? `0x${value.toString(16)}` : value))}\n`,
    );
  }

  /** Registers something to be released if this handler is cancelled. @returns what takes it back from the list, released */
  hold(name: string, release: () => void): () => void {
    const item = { name, release };
    this.held.push(item);
    return () => {
      const index = this.held.indexOf(item);
      if (index < 0) return;
      this.held.splice(index, 1);
      release();
    };
  }

  /** For the invoker: a new hit begins. */
  begin(serial: number, memory: Memory, faults: number, maxfault: number): void {
    this.serial = serial;
    this.target = memory;
    this.faults = faults;
    this.fenced = 0;
    this.depth = 0;
    this.maxfault = maxfault;
    this.fault = "";
    this.held.length = 0;
  }

  /** For the invoker: the handler has returned. Its target goes on, and is not read any more. */
  end(): void {
    this.target = undefined;
  }

  /** For the invoker: counts of the call that just ended. */
  counts(): { readonly faults: number; readonly fenced: number } {
    return { faults: this.faults, fenced: this.fenced };
  }

  /** For the invoker: is this what an unfenced fault of this hit looks like? */
  unfenced(error: unknown): MemoryFault | undefined {
    if (error instanceof TooManyFaults) return error.fault;
    return error instanceof RaisedFault && error.serial === this.serial ? error.fault : undefined;
  }

  /**
   * For the invoker: releases what a cancelled handler held, last first.
   *
   * @returns the names, in the order they were taken
   */
  releaseHeld(): { readonly names: string[]; readonly errors: unknown[] } {
    const names = this.held.map((each) => each.name);
    const errors: unknown[] = [];
    for (const each of this.held.splice(0).reverse()) {
      try {
        each.release();
      } catch (error) {
        // One hook that fails must not keep the others from releasing theirs.
        errors.push(error);
      }
    }
    return { names, errors };
  }

  private raise(fault: MemoryFault): never {
    this.fault = fault.message;
    this.faults++;
    if (this.faults > this.maxfault) throw new TooManyFaults(fault);
    throw new RaisedFault(fault, this.serial);
  }

  private guarded<T>(
    at: bigint | number,
    access: "read" | "write",
    body: (memory: Memory, address: NonNullable<ReturnType<typeof addressOf>>) => T,
  ): T {
    const { target } = this;
    if (target === undefined) throw new Error("the handler kit was used outside a handler");
    const value = BigInt(at);
    const address = addressOf(value);
    if (address === undefined)
      this.raise(new MemoryFault(BigInt.asUintN(64, value), access, "not-canonical"));
    try {
      return body(target, address);
    } catch (error) {
      if (error instanceof MemoryFault) this.raise(error);
      throw error;
    }
  }

  private makeMemory(): HandlerMemory {
    const bytes = (at: bigint | number, length: number): Uint8Array =>
      this.guarded(at, "read", (memory, address) => {
        const into = new Uint8Array(length);
        memory.read(address, into);
        return into;
      });
    const view = (at: bigint | number, length: number): DataView => new DataView(bytes(at, length).buffer);
    return {
      bytes,
      string: (at, most = LONGEST_STRING) =>
        this.guarded(at, "read", (memory, address) => readString(memory, address, most)),
      int8: (at) => view(at, 1).getInt8(0),
      uint8: (at) => view(at, 1).getUint8(0),
      int16: (at) => view(at, 2).getInt16(0, true),
      uint16: (at) => view(at, 2).getUint16(0, true),
      int32: (at) => view(at, 4).getInt32(0, true),
      uint32: (at) => view(at, 4).getUint32(0, true),
      int64: (at) => view(at, 8).getBigInt64(0, true),
      uint64: (at) => view(at, 8).getBigUint64(0, true),
      write: (at, data) => {
        this.guarded(at, "write", (memory, address) => {
          memory.write(address, data);
        });
      },
    };
  }
}

function readString(memory: Memory, at: NonNullable<ReturnType<typeof addressOf>>, most: number): string {
  const parts: Uint8Array[] = [];
  for (let done = 0; done < most;) {
    const part = new Uint8Array(Math.min(CHUNK, most - done));
    const position = addressOf(BigInt(at + done));
    if (position === undefined) throw new MemoryFault(BigInt(at + done), "read", "not-canonical");
    const got = memory.readSome(position, part);
    const end = part.subarray(0, got).indexOf(0);
    if (end >= 0) {
      parts.push(part.subarray(0, end));
      break;
    }
    // No end before the bad byte: read it, so that the fault is the one a string function would take.
    if (got < part.length) memory.read(addressOf(BigInt(position + got)) ?? position, new Uint8Array(1));
    parts.push(part.subarray(0, got));
    done += got;
  }
  return new TextDecoder().decode(Buffer.concat(parts));
}

function formatValue(value: unknown, type: "long" | "string"): Value {
  if (type === "string") return fromText(String(value));
  if (typeof value === "bigint" || typeof value === "number" || typeof value === "boolean") {
    return BigInt.asIntN(64, BigInt(value));
  }
  throw new TypeError(`printf: a number is wanted, not ${typeof value}`);
}
