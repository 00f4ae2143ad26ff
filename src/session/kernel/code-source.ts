import type { Address } from "../../base/address.js";
import type { KernelCode } from "../../symbols/kernel/code.js";
import type { KernelImage } from "../../symbols/kernel/image.js";
import type { KernelModule } from "../../symbols/kernel/module.js";
import type { Vaddr } from "../../symbols/vaddr.js";
import type { Memory } from "../../targets/target.js";

/** Code that a kernel runs: its own, known from its image, or a module's, known from the memory that it was loaded into. */
export interface CodeSource {
  /** `kernel`, or the module's name. */
  readonly name: string;
  readonly code: KernelCode;
  /** Of a module: where its `struct module` lies, which tells it from another of that name that comes later. */
  readonly at: Address | undefined;
  /** As its file has it: as many bytes as are known, none where nothing is. */
  bytesAt(vaddr: Vaddr, length: number): Uint8Array;
}

export function kernelSource(image: KernelImage): CodeSource {
  return {
    name: "kernel",
    code: image,
    at: undefined,
    bytesAt: (vaddr, length) => image.bytesAt(vaddr, length),
  };
}

/**
 * Reads all that is asked of a module's symbols at once: those of one that is just coming lie in memory that
 * is given back when it has begun.
 */
export function moduleSource(module: KernelModule, memory: Memory): CodeSource {
  module.functions("");
  return {
    name: module.name,
    code: module,
    at: module.at,
    bytesAt: (vaddr, length) => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, memory.readSome(vaddr as number as Address, bytes));
    },
  };
}
