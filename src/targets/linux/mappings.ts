import { readFileSync } from "node:fs";
import type { Address } from "../../base/address.js";
import type { Mapping } from "../target.js";

const LINE = /^([0-9a-f]+)-([0-9a-f]+) (.)(.)(.)(.) ([0-9a-f]+) \S+ \d+ *(.*)$/;
const DELETED = " (deleted)";
const SIGN_BIT = 0x8000;
const HIGH_HALF = 2 ** 32;

/** Hexadecimal text to an address: kernel addresses (`[vsyscall]`) sign-extended. */
function parseAddress(hex: string): Address {
  const high = hex.length > 8 ? Number.parseInt(hex.slice(0, -8), 16) : 0;
  const low = Number.parseInt(hex.slice(-8), 16);
  return ((high >= SIGN_BIT ? high | 0 : high) * HIGH_HALF + low) as Address;
}

/** Backslash, newline and others come as octal escapes. fs/seq_file.c, mangle_path. */
function unescapePath(path: string): string {
  return path.includes("\\")
    ? path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    : path;
}

/** Parses `/proc/PID/maps`. proc_pid_maps(5). */
function parseMappings(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (match === null) continue;
    // A match has all its groups.
    const [, start, end, r, w, x, p, offset, name] = match as unknown as readonly [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    const path = unescapePath(name);
    const deleted = path.endsWith(DELETED);
    mappings.push({
      start: parseAddress(start),
      end: parseAddress(end),
      readable: r === "r",
      writable: w === "w",
      executable: x === "x",
      shared: p === "s",
      offset: Number.parseInt(offset, 16),
      path: deleted ? path.slice(0, -DELETED.length) : path,
      deleted,
    });
  }
  return mappings;
}

/** The mappings of the space that a live thread is in. @throws Error as readFileSync does */
export function readMappings(thread: number): Mapping[] {
  return parseMappings(readFileSync(`/proc/${thread}/maps`, "utf8"));
}

/** The mapping that an address lies in. */
export function mappingAt(mappings: readonly Mapping[], at: Address): Mapping | undefined {
  let low = 0;
  let high = mappings.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const mapping = mappings[middle] as Mapping; // in range by the loop's own bounds
    // Kernel addresses, which sort last in the file, are negative numbers.
    if (at < mapping.start && mapping.start >= 0) high = middle;
    else if (at >= mapping.end && mapping.end >= 0) low = middle + 1;
    else return at >= mapping.start && at < mapping.end ? mapping : undefined;
  }
  return undefined;
}
