import { type Address, offsetBy } from "../../../base/address.js";
import type { ReadMemory } from "./slide.js";

/** What linkers fill the room between functions with. */
const FILLER = 0xcc;
const CHUNK = 4096;
/** Text that is looked through for room, bytes. */
const MOST = 4 * 2 ** 20;
/** Functions begin at multiples of that. */
const ALIGNMENT = 16;

/**
 * Room between functions, which nobody ever executes: runs of `int3` up to where a function begins.
 *
 * @param length bytes that a piece must have at least
 * @returns as many pieces as asked for, or fewer
 */
export function findPadding(
  read: ReadMemory,
  from: Address,
  to: Address,
  length: number,
  count: number,
): Address[] {
  const found: Address[] = [];
  const bytes = new Uint8Array(CHUNK);
  const end = Math.min(to, from + MOST);
  let run = 0;
  for (let at = from; at < end && found.length < count; at = offsetBy(at, CHUNK)) {
    const got = read(at, bytes.subarray(0, Math.min(CHUNK, end - at)));
    for (let index = 0; index < got && found.length < count; index++) {
      if (bytes[index] === FILLER) {
        run++;
        continue;
      }
      const behind = offsetBy(at, index);
      // A run in the middle of a function would be something else.
      if (((behind % ALIGNMENT) + ALIGNMENT) % ALIGNMENT === 0)
        for (let start = behind - run; start + length <= behind && found.length < count; start += length)
          found.push(start as Address);
      run = 0;
    }
    if (got < CHUNK) break;
  }
  return found;
}
