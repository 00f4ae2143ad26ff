import { TargetError } from "../../../base/errors.js";

/** The compressed kernel within a bzImage. */
export interface Payload {
  /** As it was compressed, without the size behind it. */
  readonly packed: Buffer;
  /** Bytes that it unpacks to, as the image says. */
  readonly size: number;
}

/** Offsets in the setup header. Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
const SETUP = {
  sectors: 0x1f1,
  bootFlag: 0x1fe,
  magic: 0x202,
  version: 0x206,
  payloadOffset: 0x248,
  payloadLength: 0x24c,
  end: 0x250,
} as const;

const BOOT_FLAG = 0xaa55;
const SECTOR = 512;
/** Where `sectors` is 0 there are four of them, for old loaders' sake. */
const DEFAULT_SECTORS = 4;
/** The first version of the protocol whose header tells where the payload is: Linux 2.6.24. */
const FIRST_WITH_PAYLOAD = 0x208;

/** Larger than any kernel: what says so is damaged. */
const MOST_BYTES = 2 ** 30;
/** No format packs a kernel so well; real ones are 3 to 6 times as large as their payload. */
const MOST_GROWTH = 64;

export function isBootImage(image: Buffer): boolean {
  return (
    image.length >= SETUP.end &&
    image.readUInt16LE(SETUP.bootFlag) === BOOT_FLAG &&
    image.toString("latin1", SETUP.magic, SETUP.magic + 4) === "HdrS"
  );
}

/**
 * Where in a bzImage the kernel is.
 *
 * @param image one for which {@link isBootImage} holds
 * @throws TargetError too old, cut short, or its header makes no sense
 */
export function payloadOf(image: Buffer, name: string): Payload {
  const version = image.readUInt16LE(SETUP.version);
  if (version < FIRST_WITH_PAYLOAD) {
    throw new TargetError(
      `${name} is a kernel from before Linux 2.6.24 (boot protocol ${version >>> 8}.${version & 0xff}): it cannot be read`,
    );
  }
  const sectors = image[SETUP.sectors] ?? 0;
  const start =
    ((sectors === 0 ? DEFAULT_SECTORS : sectors) + 1) * SECTOR + image.readUInt32LE(SETUP.payloadOffset);
  const length = image.readUInt32LE(SETUP.payloadLength);
  const end = start + length;
  if (length < 8 || end > image.length) {
    throw new TargetError(
      `${name} is truncated or damaged: its kernel is said to lie in bytes 0x${start.toString(16)} to 0x${end.toString(16)}, ` +
        `the file has 0x${image.length.toString(16)}`,
      { remedy: "copy or install the file again" },
    );
  }
  // The build appends the size to every format; to gzip's it belongs already (RFC 1952, ISIZE).
  const size = image.readUInt32LE(end - 4);
  if (size > MOST_BYTES || size > length * MOST_GROWTH)
    throw new TargetError(
      `${name} is damaged: its kernel is said to unpack from ${length} bytes to ${size} bytes`,
    );
  return { packed: image.subarray(start, end - 4), size };
}
