import { decompress } from "fzstd";

/** RFC 8878, 3.1.1. */
export const ZSTD_MAGIC = 0xfd2fb528;

/**
 * Unpacks one frame of zstd. Its checksum, if it has one, is not verified.
 *
 * @param into of the size that the frame unpacks to
 * @returns how much of `into` was filled
 * @throws Error damaged; or more comes out than `into` holds
 */
export function unpackZstd(packed: Uint8Array, into: Uint8Array): number {
  const unpacked = decompress(packed, into);
  return unpacked.length;
}
