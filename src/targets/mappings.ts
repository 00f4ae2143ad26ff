import type { Address } from "../base/address.js";
import { TargetError } from "../base/errors.js";
import { withoutDeleted } from "../base/file-name.js";
import type { Mapping } from "./target.js";

/** The last part is whatever a file can be called: carriage returns and Unicode's separators of lines, too. */
const LINE =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-])([w-])([x-])([sp]) ([0-9a-f]{1,16}) [0-9a-f]+:[0-9a-f]+ \d+(?: +(.*))?$/s;
const SIGN_BIT = 0x8000;
const HIGH_HALF = 2 ** 32;

/** Hexadecimal text to an address: kernel addresses (`[vsyscall]`) sign-extended. */
function parseAddress(hex: string): Address {
  const high = hex.length > 8 ? Number.parseInt(hex.slice(0, -8), 16) : 0;
  const low = Number.parseInt(hex.slice(-8), 16);
  return ((high >= SIGN_BIT ? high | 0 : high) * HIGH_HALF + low) as Address;
}

/** A newline comes as an octal escape, and nothing else does, not even a backslash. fs/proc/task_mmu.c, show_map_vma. */
function unescapePath(path: string): string {
  return path.replaceAll("\\012", "\n");
}

/**
 * Parses `/proc/PID/maps`. proc_pid_maps(5).
 *
 * @param file for error messages
 * @throws TargetError a line is not understood
 */
export function parseMappings(text: string, file: string): Mapping[] {
  const mappings: Mapping[] = [];
  const lines = text.split("\n");
  // Each line ends by a newline: behind the last there is nothing.
  if (lines.at(-1) === "") lines.pop();
  for (const [index, line] of lines.entries()) {
    const match = LINE.exec(line);
    if (match === null)
      throw new TargetError(`${file}, line ${index + 1} is not understood: ${line.slice(0, 80)}`);
    // A match has all its groups but the last.
    const [, start, end, r, w, x, p, offset, name = ""] = match as unknown as readonly [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string,
      string | undefined,
    ];
    const path = unescapePath(name);
    const before = withoutDeleted(path);
    mappings.push({
      start: parseAddress(start),
      end: parseAddress(end),
      readable: r === "r",
      writable: w === "w",
      executable: x === "x",
      shared: p === "s",
      offset: Number.parseInt(offset, 16),
      path: before,
      deleted: before !== path,
    });
  }
  return mappings;
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
