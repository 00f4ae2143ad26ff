import { type Address, formatAddress } from "../../base/address.js";
import { type LoadBias, loadedAt, unloadedFrom, type Vaddr } from "../../symbols/vaddr.js";
import type { SpaceId } from "../../targets/target.js";
import type { CodeImage } from "../images.js";
import type { KernelFunction } from "../../symbols/kernel/functions.js";
import type { CodeSource } from "./code-source.js";
import { refuseForbidden } from "./forbidden.js";
import { ENTRY_BYTES, traceSiteLength } from "./entry.js";

/** The kernel or a module of it, at its place in memory. */
export class LoadedCode implements CodeImage {
  constructor(
    readonly space: SpaceId,
    readonly source: CodeSource,
    /** The kernel's KASLR slide; 0 for modules, whose addresses are those of memory already. */
    readonly bias: LoadBias,
    /** Where the kernel has its function tracer's entry, as seen from this code. */
    private readonly fentry: Vaddr | undefined,
  ) {}

  get path(): string {
    return this.source.name;
  }

  holds(address: Address): boolean {
    const vaddr = unloadedFrom(address, this.bias);
    return this.source.code.text.some(({ start, end }) => vaddr >= start && vaddr < end);
  }

  symbolAt(
    address: Address,
  ): { readonly name: string; readonly offset: number; readonly size: number } | undefined {
    return this.source.code.symbolAt(unloadedFrom(address, this.bias));
  }

  refuse(address: Address): void {
    refuseForbidden(this.source.code, unloadedFrom(address, this.bias), address);
  }

  /** Where a function's handler runs: behind what belongs to the kernel's function tracer. */
  entryOf({ vaddr }: KernelFunction): Address {
    const bytes = this.source.bytesAt(vaddr, ENTRY_BYTES);
    return loadedAt((vaddr + traceSiteLength(vaddr, bytes, this.fentry)) as Vaddr, this.bias);
  }

  fileByte(address: Address): number | undefined {
    return this.source.bytesAt(unloadedFrom(address, this.bias), 1)[0];
  }

  /** `vfs_read+0x1c`; the bare number where no symbol tells. */
  nameAt(address: Address): string {
    const symbol = this.symbolAt(address);
    if (symbol === undefined) return formatAddress(address);
    return symbol.offset === 0 ? symbol.name : `${symbol.name}+0x${symbol.offset.toString(16)}`;
  }
}
