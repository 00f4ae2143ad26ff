import type { ProbedCode } from "../../script/probed-code.js";
import { formatVaddr, type Vaddr } from "../../symbols/vaddr.js";

/**
 * Names the code that a handler with context variables was made for: two static functions of one name in
 * one module have one prototype, and one handler.
 *
 * @param module `kernel`, or a module's name
 */
export function codeKey(module: string, name: string): ProbedCode["key"] {
  return module === "kernel" ? name : `${name}@${module}`;
}

/** As {@link codeKey}, of one instruction: what is where in a function differs from one to the next. */
export function placeKey(module: string, vaddr: Vaddr): ProbedCode["key"] {
  return `${formatVaddr(vaddr)}@${module}`;
}
