import { UsageError } from "../../src/base/errors.js";
import type { Original, Reader } from "./reader.js";

const ORIGINALS: readonly Original[] = [{ name: "zeroes", bytes: Buffer.alloc(64) }];
/** What the defects show themselves at: one byte of the input. */
const BAD_AT = 40;

/** A reader with a defect that one changed byte, among others that do not matter, brings out. */
function defective(name: string, defect: (bytes: Buffer) => void): Reader {
  return {
    name,
    originals: ORIGINALS,
    mutate: (_original, random) =>
      [3, BAD_AT, 50].map((at) => ({ at, remove: 1, insert: Buffer.of(1 + random.below(255)) })),
    read(bytes) {
      if (bytes[BAD_AT] !== 0) defect(bytes);
      return "answered";
    },
  };
}

/** One reader for each kind of defect that must not go unnoticed. */
export function defectiveReaders(): Reader[] {
  const kept: unknown[] = [];
  return [
    defective("throws a RangeError", (bytes) => {
      bytes.readUInt8(bytes.length);
    }),
    defective("overflows the stack", function again(bytes: Buffer): void {
      again(Buffer.from(bytes));
    }),
    defective("says a sentence without a name", () => {
      throw new UsageError("something is damaged");
    }),
    defective("believes a length", () => {
      Buffer.allocUnsafe(2 ** 31);
    }),
    defective("believes a count", () => {
      kept.push(new Float64Array(2 ** 28).length);
    }),
    defective("fills the heap", () => {
      for (;;) kept.push(Array.from({ length: 1000 }, (_, index) => ({ index })));
    }),
    defective("has no end", (bytes) => {
      while (bytes[BAD_AT] !== 0) bytes[0] = (bytes[0] ?? 0) ^ 1;
    }),
  ];
}
