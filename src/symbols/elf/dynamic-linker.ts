import type { Vaddr } from "../vaddr.js";
import type { ElfImage } from "./image.js";

/** What a debugger needs of the dynamic linker to hear of libraries that come and go. */
export interface DynamicLinkerFacts {
  /**
   * A function that does nothing; the linker calls it before and after each change to its list of
   * libraries. A probe on it sees every dlopen and dlclose, the libraries at start included.
   */
  readonly changeHook: Vaddr | undefined;
  /** `struct r_debug`, whose `r_state` says what the hook was called for: see {@link R_DEBUG}. */
  readonly state: Vaddr | undefined;
}

/** Offsets in `struct r_debug`. link.h of the GNU C library; musl's is the same. */
export const R_DEBUG = { version: 0, map: 8, changeHook: 16, state: 24, linkerBase: 32, size: 40 } as const;

/**
 * @param linker the image of the program's interpreter, or the program itself where it is static
 * @returns undefined members where the image has no such symbol; `r_brk` of `struct r_debug`, which
 *   DT_DEBUG of the program points to at run time, then still tells the hook's address
 */
export function dynamicLinkerFacts(linker: ElfImage): DynamicLinkerFacts {
  const vaddrOf = (name: string) => linker.symbolsNamed(name).find((symbol) => symbol.placed)?.vaddr;
  return {
    changeHook: vaddrOf("_dl_debug_state") ?? vaddrOf("dl_debug_state"),
    state: vaddrOf("_r_debug"),
  };
}
