import type { RefusalReason } from "../../base/refusals.js";
import type { Glob } from "../glob.js";
import type { LocalVariable } from "../types/location.js";
import type { FunctionType, Type, TypeNames } from "../types/type.js";
import type { Vaddr, VaddrRange } from "../vaddr.js";
import type { KernelFunction } from "./functions.js";
import type { OrcTable } from "./orc-table.js";
import type { KernelSymbol, KernelSymbolAt } from "./symbol-index.js";

/** A variable of a kernel or a module, as its types describe it. */
export interface KernelVariable {
  /**
   * Of a per-CPU variable, what is added to a processor's `__per_cpu_offset`: up to Linux 6.14 a mere number
   * from 0 on, which no slide moves, since then an address of the image as others are.
   */
  readonly vaddr: Vaddr;
  readonly type: Type;
  readonly perCpu: boolean;
}

/**
 * What is known of code that runs as the kernel: the kernel itself, or a module of it. Addresses of the
 * kernel are those of its image, and a running one's differ by its KASLR slide; those of a module are the
 * running kernel's.
 */
export interface KernelCode {
  /** Undefined where it was built without. @throws TargetError damaged */
  readonly types: TypeNames | undefined;
  /** Ranges that hold instructions, in order. */
  readonly text: readonly VaddrRange[];
  /**
   * Of a function, by its name in the source; undefined where types say nothing of it.
   *
   * @param vaddr its own: of several functions of one name, or of a copy that the compiler made, debug
   * information tells that one's
   */
  prototype(name: string, vaddr?: Vaddr): FunctionType | undefined;
  /**
   * A variable whose type is known; BTF of most kernels knows of per-CPU variables only, debug information of
   * all.
   *
   * @param near a place of the code: of several of one name, that of its own source file is meant
   */
  variable(name: string, near?: Vaddr): KernelVariable | undefined;
  /** Does BTF tell a function's prototype? Then its parameters are where the calling convention has them. */
  isInBtf(name: string): boolean;
  /**
   * The variables of functions at a place of the code, innermost scope first, where each of them is at that
   * place; undefined where nothing tells (no debug information).
   */
  variablesAt(vaddr: Vaddr): readonly LocalVariable[] | undefined;
  /** The first of that name in order of address. */
  symbol(name: string): Vaddr | undefined;
  /** The symbol at or before an address of text or data. */
  symbolAt(vaddr: Vaddr): KernelSymbolAt | undefined;
  /** All of them, in order of address, those of per-CPU variables first. */
  symbols(): Iterable<KernelSymbol>;
  /** Text symbols that a pattern names, as FunctionNames.find has it. */
  functions(pattern: string | Glob): readonly KernelFunction[];
  /** Why there can be no probe at an address; undefined where nothing speaks against it. */
  forbidden(vaddr: Vaddr): RefusalReason | undefined;
  /** Where a fault of an instruction goes on, if the kernel expects one of it. */
  fixup(vaddr: Vaddr): Vaddr | undefined;
  /** How callers are found from a place in the text; undefined where it was built without (CONFIG_UNWINDER_ORC). */
  readonly unwind: OrcTable | undefined;
}
