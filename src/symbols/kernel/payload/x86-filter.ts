/** After so many bytes of an operand that was no call's, which of the three before it are to be looked at. */
const BYTES_BACK = [0, 1, 2, 2, 3, 3, 3, 3] as const;
/** Whether what stood within the last three bytes lets this be a call. */
const MAY_FOLLOW = [true, true, true, false, true, false, false, false] as const;

/**
 * Undoes the filter for x86 instructions (BCJ): before packing it made the distances of calls and jumps to
 * addresses, which repeat. By xz-embedded's xz_dec_bcj.c, which is in the public domain.
 */
export function undoX86Filter(bytes: Uint8Array): void {
  const end = bytes.length - 4;
  let before = -1;
  let mask = 0;
  for (let at = 0; at < end; at += 1) {
    if (((bytes[at] ?? 0) & 0xfe) !== 0xe8) continue;
    const since = at - before;
    before = at;
    if (since > 3) mask = 0;
    else {
      mask = (mask << (since - 1)) & 7;
      if (mask !== 0) {
        const byte = bytes[at + 4 - (BYTES_BACK[mask] ?? 0)] ?? 0;
        if (MAY_FOLLOW[mask] !== true || isFar(byte)) {
          mask = (mask << 1) | 1;
          continue;
        }
      }
    }
    if (!isFar(bytes[at + 4] ?? 0)) {
      mask = (mask << 1) | 1;
      continue;
    }
    let address =
      (bytes[at + 1] ?? 0) |
      ((bytes[at + 2] ?? 0) << 8) |
      ((bytes[at + 3] ?? 0) << 16) |
      ((bytes[at + 4] ?? 0) << 24);
    let distance: number;
    for (;;) {
      distance = (address - (at + 5)) | 0;
      if (mask === 0) break;
      const bits = (BYTES_BACK[mask] ?? 0) * 8;
      if (!isFar((distance >>> (24 - bits)) & 0xff)) break;
      address = distance ^ (2 ** (32 - bits) - 1);
    }
    // 25 bits, sign-extended: kernels and programs are smaller than 16 MiB either way.
    distance = (distance << 7) >> 7;
    bytes[at + 1] = distance & 0xff;
    bytes[at + 2] = (distance >>> 8) & 0xff;
    bytes[at + 3] = (distance >>> 16) & 0xff;
    bytes[at + 4] = (distance >>> 24) & 0xff;
    at += 4;
  }
}

function isFar(byte: number): boolean {
  return byte === 0 || byte === 0xff;
}
