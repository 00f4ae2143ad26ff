import { closeSync, openSync, readSync, fstatSync } from "node:fs";
import { TargetError } from "../../base/errors.js";

const HEADER_BYTES = 1024;
const SECTOR = 512;
const ELF_MAGIC = 0x7f454c46;

/** Offsets in the first sectors of a bzImage. Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". */
const HEADER = { setupSectors: 0x1f1, paragraphs: 0x1f4, bootFlag: 0x1fe, magic: 0x202 } as const;
const BOOT_FLAG = 0xaa55;
const MAGIC = "HdrS";
const PARAGRAPH = 16;

/**
 * Refuses a file that cannot be a kernel, or is cut off, in a sentence: a machine would stand still with
 * such an image and say nothing.
 *
 * @throws TargetError what is wrong with the image
 */
export function checkBootImage(path: string): void {
  const { header, size } = readHeader(path);
  if (header.length >= 4 && header.readUInt32BE(0) === ELF_MAGIC) return; // QEMU says itself what such a file needs.
  const isImage =
    header.length >= HEADER.magic + 4 &&
    header.readUInt16LE(HEADER.bootFlag) === BOOT_FLAG &&
    header.toString("latin1", HEADER.magic, HEADER.magic + 4) === MAGIC;
  if (!isImage) {
    throw new TargetError(`${path} is no kernel that can be booted: it is neither a bzImage nor ELF`, {
      remedy: "a kernel is installed as /boot/vmlinuz-RELEASE, and built as arch/x86/boot/bzImage",
    });
  }
  // 0 means 4, for images of old.
  const sectors = (header[HEADER.setupSectors] ?? 0) || 4;
  const expected = (sectors + 1) * SECTOR + header.readUInt32LE(HEADER.paragraphs) * PARAGRAPH;
  if (size < expected) {
    throw new TargetError(
      `the kernel image ${path} is cut off: ${String(size)} bytes, and its header says ${String(expected)}`,
    );
  }
}

function readHeader(path: string): { header: Buffer; size: number } {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const length = readSync(file, header);
    return { header: header.subarray(0, length), size: fstatSync(file).size };
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, error: unknown): TargetError {
  return new TargetError(`cannot read the kernel image ${path}: ${(error as Error).message}`, {
    cause: error,
  });
}
