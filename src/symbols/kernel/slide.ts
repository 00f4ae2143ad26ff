import { addressFromHalves, type Address } from "../../base/address.js";
import { TargetError } from "../../base/errors.js";
import { type LoadBias, loadedAt } from "../vaddr.js";
import type { KernelImage } from "./image.js";
import type { LiveMemory } from "./live.js";

/** Where every processor's interrupt table can be read. Linux, arch/x86/include/asm/cpu_entry_area.h. */
const INTERRUPT_TABLE = -0x20000000000 as Address;
/** A kernel begins at a multiple of this (CONFIG_PHYSICAL_ALIGN's default) within this (KERNEL_IMAGE_SIZE). */
const STEP = 2 ** 21;
const MOST_SLIDE = 2 ** 30;
/** Vector 0, by its name since Linux 5.8. */
const FIRST_HANDLER = "asm_exc_divide_error";

/**
 * By how much a running kernel's addresses differ from its image's (KASLR): from where the processor goes at
 * an exception, else by looking for its banner everywhere where it can be.
 *
 * @throws TargetError it is not there: another kernel runs, or none yet
 */
export function findSlide(image: KernelImage, memory: LiveMemory): LoadBias {
  const { banner } = image;
  const at = image.symbol("linux_banner");
  const wanted = Buffer.from(banner);
  const found = Buffer.alloc(wanted.length);
  const fits = (slide: number): boolean =>
    at !== undefined &&
    memory.readSome(loadedAt(at, slide as LoadBias), found) === wanted.length &&
    found.equals(wanted);

  const handler = image.symbol(FIRST_HANDLER);
  const live = handler === undefined ? undefined : firstHandler(memory);
  if (handler !== undefined && live !== undefined && fits(live - handler))
    return (live - handler) as LoadBias;
  for (let slide = 0; slide <= MOST_SLIDE; slide += STEP) if (fits(slide)) return slide as LoadBias;
  throw new TargetError(`the kernel that runs is not ${image.path}: its banner is not in memory`, {
    remedy: `name the image of the kernel that runs; this one is of Linux ${image.release}`,
  });
}

/** Intel SDM vol. 3A, 6.14.1: where entry 0 of the interrupt table leads. */
function firstHandler(memory: LiveMemory): Address | undefined {
  const entry = Buffer.alloc(16);
  if (memory.readSome(INTERRUPT_TABLE, entry) !== entry.length) return undefined;
  const low = entry.readUInt16LE(0) + entry.readUInt16LE(6) * 2 ** 16;
  return addressFromHalves(low, entry.readUInt32LE(8));
}
