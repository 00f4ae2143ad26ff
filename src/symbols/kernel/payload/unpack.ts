import { gunzipSync } from "node:zlib";
import { TargetError } from "../../../base/errors.js";
import type { Payload } from "./boot-image.js";
import { unpackBzip2 } from "./bzip2.js";
import { LZ4_LEGACY_MAGIC, unpackLz4 } from "./lz4.js";
import { isLzmaAlone, unpackLzmaAlone } from "./lzma.js";
import { unpackXz, XZ_MAGIC } from "./xz.js";
import { unpackZstd, ZSTD_MAGIC } from "./zstd.js";

/** One way to compress a kernel: CONFIG_KERNEL_GZIP and its likes. */
interface Format {
  readonly name: string;
  recognises(packed: Buffer): boolean;
  /** @returns the kernel, of at most `size` bytes */
  unpack(packed: Buffer, size: number, image: string): Uint8Array;
}

const FORMATS: readonly Format[] = [
  {
    name: "gzip",
    recognises: (packed) => packed.readUInt16BE(0) === 0x1f8b,
    unpack: (packed, size) => {
      // ISIZE was taken off as the size.
      const tail = Buffer.alloc(4);
      tail.writeUInt32LE(size);
      return gunzipSync(Buffer.concat([packed, tail]), { maxOutputLength: Math.max(size, 1) });
    },
  },
  {
    name: "LZ4",
    recognises: (packed) => packed.readUInt32LE(0) === LZ4_LEGACY_MAGIC,
    unpack: (packed, size, image) => filled(size, (into) => unpackLz4(packed, into, image)),
  },
  {
    name: "xz",
    recognises: (packed) => packed.subarray(0, XZ_MAGIC.length).equals(XZ_MAGIC),
    unpack: (packed, size) => filled(size, (into) => unpackXz(packed, into)),
  },
  {
    name: "zstd",
    recognises: (packed) => packed.readUInt32LE(0) === ZSTD_MAGIC,
    unpack: (packed, size) => filled(size, (into) => unpackZstd(packed, into)),
  },
  {
    name: "bzip2",
    recognises: (packed) => packed.toString("latin1", 0, 3) === "BZh",
    unpack: (packed, size) => filled(size, (into) => unpackBzip2(packed, into)),
  },
  {
    name: "LZMA",
    recognises: isLzmaAlone,
    unpack: (packed, size) => filled(size, (into) => unpackLzmaAlone(packed, into)),
  },
];

function filled(size: number, fill: (into: Buffer) => number): Buffer {
  const into = Buffer.alloc(size);
  return into.subarray(0, fill(into));
}

/**
 * The kernel of a bzImage's payload.
 *
 * @param image for sentences
 * @throws TargetError an unknown format, or damaged
 */
export function unpackPayload({ packed, size }: Payload, image: string): Buffer {
  const format = FORMATS.find((one) => one.recognises(packed));
  if (format === undefined) {
    const head = packed.subarray(0, 4).toString("hex");
    throw new TargetError(
      `${image}: its kernel is packed in a way that is not known (it begins with ${head})`,
    );
  }
  let unpacked: Uint8Array;
  try {
    unpacked = format.unpack(packed, size, image);
  } catch (cause) {
    if (cause instanceof TargetError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TargetError(`${image} is damaged: its ${format.name} payload cannot be unpacked (${reason})`, {
      cause,
    });
  }
  if (unpacked.length !== size) {
    throw new TargetError(
      `${image} is damaged: ${unpacked.length} bytes come out of its ${format.name} payload, not ${size}`,
    );
  }
  return Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength);
}
