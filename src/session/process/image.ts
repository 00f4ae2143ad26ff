import type { Address } from "../../base/address.js";
import type { ElfImage } from "../../symbols/elf/image.js";
import { type LoadBias, unloadedFrom } from "../../symbols/vaddr.js";
import type { Mapping, SpaceId } from "../../targets/target.js";
import type { CodeImage } from "../images.js";
import { refuseHarm } from "./harm.js";

/** An ELF file as it is mapped in one space. */
export class Image implements CodeImage {
  constructor(
    readonly space: SpaceId,
    /** As the kernel shows it. */
    readonly path: string,
    readonly elf: ElfImage,
    /** What to add to an address of the file to have the address in memory. */
    readonly bias: LoadBias,
    /** The program itself, not a library. */
    readonly isMain: boolean,
    /** Its executable ranges in memory. */
    readonly text: readonly Mapping[],
  ) {}

  symbolAt(address: Address): { readonly name: string; readonly offset: number } | undefined {
    return this.elf.symbolAt(unloadedFrom(address, this.bias));
  }

  refuse(address: Address): void {
    refuseHarm(this.elf, unloadedFrom(address, this.bias), address);
  }

  /** The function that an address belongs to; `"<unknown>"` where no symbol tells. */
  nameAt(address: Address): string {
    return this.symbolAt(address)?.name ?? "<unknown>";
  }

  /** The byte that the file has for an address. */
  fileByte(address: Address): number | undefined {
    return this.elf.bytesAt(unloadedFrom(address, this.bias), 1)[0];
  }

  inSpace(space: SpaceId): Image {
    return new Image(space, this.path, this.elf, this.bias, this.isMain, this.text);
  }
}
