import { formatAddress, type Address } from "../../../base/address.js";
import { TargetError } from "../../../base/errors.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import { type LoadBias, loadedAt, type Vaddr } from "../../../symbols/vaddr.js";

/** Reads a live kernel's memory. @returns bytes read, up to the first that cannot be read */
export type ReadMemory = (at: Address, into: Uint8Array) => number;

/**
 * Where every processor's interrupt descriptor table is mapped, read-only, KASLR or not: the first page of
 * CPU_ENTRY_AREA. Linux, arch/x86/include/asm/cpu_entry_area.h; Documentation/arch/x86/x86_64/mm.rst.
 */
export const IDT = -0x200_0000_0000 as Address;

/** Bytes of a gate. Intel SDM vol. 3A, 6.14.1. */
export const GATE_BYTES = 16;

/** The double fault: a session of ours redirects other exceptions, and may be killed before it takes that back. */
const VECTOR = 8;
/** The symbol of its entry: since Linux 5.8, and before. */
const ENTRIES = ["asm_exc_double_fault", "double_fault"];

/** Where a vector's exceptions enter the kernel; undefined: there is no such table, so no Linux of x86-64. */
export function exceptionEntry(read: ReadMemory, vector: number): Address | undefined {
  const gate = new DataView(new ArrayBuffer(GATE_BYTES));
  const at = (IDT + vector * GATE_BYTES) as Address;
  if (read(at, new Uint8Array(gate.buffer)) < GATE_BYTES) return undefined;
  const low = BigInt(gate.getUint16(0, true)) | (BigInt(gate.getUint16(6, true)) << 16n);
  return Number(BigInt.asIntN(64, low | (BigInt(gate.getUint32(8, true)) << 32n))) as Address;
}

function entryIn(image: KernelImage): Vaddr | undefined {
  return ENTRIES.map((symbol) => image.symbol(symbol)).find((vaddr) => vaddr !== undefined);
}

/**
 * How far a running kernel is from where its image says that it is: the slide that KASLR chose, 0 without.
 *
 * @param name whom a sentence is about: the stub's address
 * @throws TargetError no Linux kernel runs there, or it is another than the image's
 */
export function findSlide(read: ReadMemory, image: KernelImage, name: string): LoadBias {
  const entry = exceptionEntry(read, VECTOR);
  const linked = entryIn(image);
  if (linked === undefined) throw new TargetError(`${image.path} has no symbol ${ENTRIES.join(" or ")}`);
  if (entry === undefined || entry === 0) {
    throw new TargetError(`${name}: no Linux kernel of x86-64 runs there, or it is not that far yet`);
  }
  const slide = (entry - linked) as LoadBias;
  const running = bannerAt(read, image, slide);
  if (running === image.banner) return slide;
  const what =
    running === undefined
      ? `its entry of double faults is at ${formatAddress(entry)}, which is no place for that image`
      : `it says ${JSON.stringify(running)}, and the image ${JSON.stringify(image.banner)}`;
  throw new TargetError(`the kernel behind ${name} is not that of ${image.path}: ${what}`, {
    remedy: "name the image that it was booted from with --kernel",
  });
}

const MOST_BANNER = 512;

/** What the running kernel says that it is, at the place where this one would say it. */
function bannerAt(read: ReadMemory, image: KernelImage, slide: LoadBias): string | undefined {
  const vaddr = image.symbol("linux_banner");
  if (vaddr === undefined) return undefined;
  const bytes = Buffer.alloc(MOST_BANNER);
  const length = read(loadedAt(vaddr, slide), bytes);
  const end = bytes.subarray(0, length).indexOf(0);
  const text = bytes.toString("utf8", 0, end < 0 ? length : end).trimEnd();
  return text.startsWith("Linux version ") ? text : undefined;
}
