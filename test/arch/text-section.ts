import { readFileSync } from "node:fs";
import type { Address } from "../../src/base/address.js";

/** The executable bytes of a program or library, and the address that the file gives them. */
export interface Text {
  readonly bytes: Uint8Array;
  readonly at: Address;
}

/** `.text` of an ELF file: the largest section of program bits that is executable. */
export function textSection(file: string): Text {
  const data = new Uint8Array(readFileSync(file));
  const view = new DataView(data.buffer);
  const EXECUTABLE = 4;
  const PROGRAM_BITS = 1;
  const headers = Number(view.getBigUint64(0x28, true));
  const size = view.getUint16(0x3a, true);
  const count = view.getUint16(0x3c, true);
  let largest: Text | undefined;
  for (let index = 0; index < count; index++) {
    const header = headers + index * size;
    if (view.getUint32(header + 4, true) !== PROGRAM_BITS) continue;
    if ((view.getUint32(header + 8, true) & EXECUTABLE) === 0) continue;
    const offset = Number(view.getBigUint64(header + 0x18, true));
    const length = Number(view.getBigUint64(header + 0x20, true));
    if (largest !== undefined && largest.bytes.length >= length) continue;
    const at = Number(view.getBigUint64(header + 0x10, true)) as Address;
    largest = { bytes: data.subarray(offset, offset + length), at };
  }
  if (largest === undefined) throw new Error(`${file} has no executable section`);
  return largest;
}

/** The C library that this very process runs. */
export function libcPath(): string {
  const line = readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .find((each) => /\/libc[.-][^/]*$/.test(each));
  if (line === undefined) throw new Error("this process has no C library mapped");
  return line.slice(line.indexOf("/"));
}
