import { instructionStarts } from "../../src/arch/x86_64/decode.js";
import type { Address } from "../../src/base/address.js";
import type { ElfImage } from "../../src/symbols/elf/image.js";

/**
 * Addresses, as in the file, of the instructions of functions that the unwinder knows, which it
 * does of stripped files too.
 *
 * @param wanted starts of functions; undefined: all
 */
export function instructionsIn(image: ElfImage, wanted?: ReadonlySet<number>): number[] {
  return image
    .frameDescriptions()
    .filter(({ start }) => image.isCode(start) && wanted?.has(start) !== false)
    .flatMap(({ start, length }) => {
      // The numbers are the file's own here, as if it were loaded at 0.
      const at = start as number as Address;
      return [...instructionStarts(image.bytesAt(start, length), at).starts];
    });
}
