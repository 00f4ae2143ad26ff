import { type Address, addressOf } from "../../base/address.js";
import { MemoryFault } from "../../base/errors.js";
import type { FunctionLocation } from "../../symbols/elf/functions.js";
import { loadedAt, unloadedFrom, type Vaddr } from "../../symbols/vaddr.js";
import type { Memory } from "../../targets/target.js";
import type { Image } from "./image.js";

/**
 * The implementation that an IFUNC's resolver selected, read from where the dynamic linker put it:
 * nothing is run in the target. Undefined before the dynamic linker is done with the image, and
 * where nobody refers to the function (then nobody can call it but through dlsym).
 */
export function selectedImplementation(
  image: Image,
  indirect: FunctionLocation,
  images: readonly Image[],
  memory: Memory,
): Address | undefined {
  for (const slot of slotsOf(image, indirect, images)) {
    const selected = pointerAt(memory, slot);
    if (
      selected === undefined ||
      !image.text.some((range) => selected >= range.start && selected < range.end)
    )
      continue;
    const vaddr = unloadedFrom(selected, image.bias);
    const unbound = image.elf.pltRanges.some((range) => vaddr >= range.start && vaddr < range.end);
    if (!unbound && vaddr !== indirect.vaddr) return selected;
  }
  return undefined;
}

function* slotsOf(image: Image, indirect: FunctionLocation, images: readonly Image[]): Generator<Address> {
  const loaded = (from: Image, slots: readonly Vaddr[]): Address[] =>
    slots.map((slot) => loadedAt(slot, from.bias));
  yield* loaded(image, image.elf.relocations.slotsOfResolver(indirect.vaddr));
  for (const other of images) {
    if (other !== image) yield* loaded(other, other.elf.relocations.slotsOfSymbol(indirect.names));
  }
}

function pointerAt(memory: Memory, slot: Address): Address | undefined {
  const bytes = new Uint8Array(8);
  try {
    memory.read(slot, bytes);
  } catch (error) {
    // Not mapped (yet): no answer from this one.
    if (error instanceof MemoryFault) return undefined;
    throw error;
  }
  return addressOf(new DataView(bytes.buffer).getBigUint64(0, true));
}
