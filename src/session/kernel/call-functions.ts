import { compileGlob } from "../../symbols/glob.js";
import type { KernelCode } from "../../symbols/kernel/code.js";
import type { KernelFunction } from "../../symbols/kernel/functions.js";

/** A function that a kernel enters for a system call. */
export interface CallFunction {
  /** As programs know it: `openat`. Of 32-bit programs: `compat_openat`. */
  readonly name: string;
  readonly function: KernelFunction;
  /** Which registers have its arguments. */
  readonly abi: "native" | "compat";
}

const NATIVE = "__x64_sys_";
const COMPAT = "__ia32_compat_sys_";
const COMPAT_NAME = "compat_";

/**
 * The system calls that a pattern names. Those of 32-bit programs are named only where the pattern asks for
 * them by `compat_`, as SystemTap's tapset names them. Linux, arch/x86/include/asm/syscall_wrapper.h.
 */
export function callFunctions(kernel: KernelCode, pattern: string): readonly CallFunction[] {
  const compat = pattern.startsWith(COMPAT_NAME);
  const prefix = compat ? COMPAT : NATIVE;
  const glob = compileGlob(`${prefix}${compat ? pattern.slice(COMPAT_NAME.length) : pattern}`);
  return kernel.functions(glob).map((found) => ({
    name: `${compat ? COMPAT_NAME : ""}${found.name.slice(prefix.length)}`,
    function: found,
    abi: compat ? "compat" : "native",
  }));
}
