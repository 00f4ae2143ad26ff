import { TargetError } from "../../../base/errors.js";

/** What every frame of the legacy format begins with. LZ4 frame format description, "Legacy frame". */
export const LZ4_LEGACY_MAGIC = 0x184c2102;

const MIN_MATCH = 4;
/** A copy of fewer bytes is faster in a loop than in a call. */
const SHORT = 24;

/**
 * Unpacks a frame of LZ4's legacy format, which the kernel's build makes with `lz4 -l`: blocks with
 * their compressed size in front, and no size of what comes out. LZ4 block format description.
 *
 * @param into of the size that the frame unpacks to
 * @returns how much of `into` was filled
 * @throws TargetError damaged
 */
export function unpackLz4(packed: Uint8Array, into: Uint8Array, name: string): number {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let from = 4;
  let to = 0;
  while (from + 4 <= packed.length) {
    const size = view.getUint32(from, true);
    from += 4;
    // Frames can stand one behind the other.
    if (size === LZ4_LEGACY_MAGIC) continue;
    if (size === 0) break;
    if (from + size > packed.length) throw damaged(name, "a block goes past the end");
    to = unpackBlock(packed, from, from + size, into, to, name);
    from += size;
  }
  return to;
}

function unpackBlock(
  packed: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
  begin: number,
  name: string,
): number {
  const limit = into.length;
  let from = start;
  let to = begin;
  while (from < end) {
    const token = packed[from] ?? 0;
    from += 1;
    let literals = token >>> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && from < end) {
        more = packed[from] ?? 0;
        from += 1;
        literals += more;
      }
    }
    if (from + literals > end || to + literals > limit) throw damaged(name, "literals go past the end");
    if (literals > SHORT) into.set(packed.subarray(from, from + literals), to);
    else for (let index = 0; index < literals; index += 1) into[to + index] = packed[from + index] ?? 0;
    from += literals;
    to += literals;
    // The last sequence of a block has no match.
    if (from >= end) break;

    const distance = (packed[from] ?? 0) | ((packed[from + 1] ?? 0) << 8);
    from += 2;
    let length = token & 15;
    if (length === 15) {
      let more = 255;
      while (more === 255 && from < end) {
        more = packed[from] ?? 0;
        from += 1;
        length += more;
      }
    }
    length += MIN_MATCH;
    if (distance === 0 || to - distance < begin) throw damaged(name, "a match begins before its block");
    if (to + length > limit) throw damaged(name, "more comes out than it says");
    copyWithin(into, to, distance, length);
    to += length;
  }
  return to;
}

/** Copies what may overlap itself: then it repeats. */
function copyWithin(bytes: Uint8Array, to: number, distance: number, length: number): void {
  if (length <= SHORT) {
    for (let at = to; at < to + length; at += 1) bytes[at] = bytes[at - distance] ?? 0;
    return;
  }
  // Each round doubles what can be copied at once.
  let done = 0;
  while (done < length) {
    const piece = Math.min(length - done, distance + done);
    bytes.copyWithin(to + done, to - distance, to - distance + piece);
    done += piece;
  }
}

function damaged(name: string, what: string): TargetError {
  return new TargetError(`${name} is damaged: its LZ4 payload cannot be unpacked, ${what}`);
}
