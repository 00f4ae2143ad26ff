/** What this thread asked for outside of the heap since {@link Allocations.begin}: memory that was never touched counts, too. */
export class Allocations {
  /** Bytes altogether. */
  total = 0;
  /** Bytes at once. */
  largest = 0;

  private constructor() {
    // Made by watch alone: there is one of everything that is watched.
  }

  /** Watches all that this thread allocates from now on, for its whole life. */
  static watch(): Allocations {
    const seen = new Allocations();
    for (const name of [
      "ArrayBuffer",
      "Uint8Array",
      "Int32Array",
      "Uint32Array",
      "Float64Array",
      "BigUint64Array",
    ] as const) {
      seen.watchConstructor(name);
    }
    for (const name of ["alloc", "allocUnsafe"] as const) {
      const original = Buffer[name].bind(Buffer) as (size: number, ...rest: never[]) => Buffer;
      Buffer[name] = ((size: number, ...rest: never[]) => {
        seen.note(size);
        return original(size, ...rest);
      }) as typeof Buffer.alloc;
    }
    return seen;
  }

  begin(): void {
    this.total = 0;
    this.largest = 0;
  }

  private note(bytes: number): void {
    this.total += bytes;
    this.largest = Math.max(this.largest, bytes);
  }

  private watchConstructor(
    name: "ArrayBuffer" | "Uint8Array" | "Int32Array" | "Uint32Array" | "Float64Array" | "BigUint64Array",
  ): void {
    const bytesEach = name === "ArrayBuffer" ? 1 : globalThis[name].BYTES_PER_ELEMENT;
    const watched: unknown = new Proxy(globalThis[name], {
      construct: (target, args: unknown[], newTarget): object => {
        if (typeof args[0] === "number") this.note(args[0] * bytesEach);
        return Reflect.construct(target, args, newTarget) as object;
      },
    });
    Object.defineProperty(globalThis, name, { value: watched, configurable: true, writable: true });
  }
}
