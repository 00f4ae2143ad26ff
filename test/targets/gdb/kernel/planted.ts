import { readFileSync } from "node:fs";
import type { LabMachine } from "../../../../src/targets/lab/machine.js";
import { bootedLab, NEEDS_LAB } from "../../../support/lab.js";
import { needs } from "../../../support/needs.js";
import { target } from "../../../support/programs.js";
import type { ProbedKernel } from "./probed-kernel.js";

/** A function of the kernel that programs can call, and none does: tests put instructions of their own there. */
export const PLANTED = "__x64_sys_sysfs";
/** Behind the nop of the function tracer. */
export const BEHIND_ENTRY = 5;

export const NEEDS_TRAPS = NEEDS_LAB.skip !== false ? NEEDS_LAB : needs("gcc", "libc6-dev");

/** A machine with the program of guest_traps.c: `traps call 10` calls the function ten times. */
export async function trapsLab(options: Parameters<typeof bootedLab>[0] = {}): Promise<LabMachine> {
  const traps = { bytes: readFileSync(target("guest_traps", "-static")), mode: 0o755 };
  return bootedLab({ ...options, files: new Map([["/bin/traps", traps]]) });
}

/** Makes the function be instructions, from behind its entry on. What is in rax at their end is the call's result. */
export function plant(kernel: ProbedKernel, ...code: readonly (readonly number[])[]): void {
  kernel.target.memory().writeText(kernel.address(PLANTED, BEHIND_ENTRY), Uint8Array.from(code.flat()));
}

/** Instructions, as they are planted. */
export const CODE = {
  /** mov rax, [rdi+68h]: the second argument of the call, in the registers that the kernel saved. */
  argument: [0x48, 0x8b, 0x47, 0x68],
  pushf: [0x9c],
  popRax: [0x58],
  /** bsr rdx, rax: nobody emulates it. */
  bsr: [0x48, 0x0f, 0xbd, 0xd0],
  movRaxRdx: [0x48, 0x89, 0xd0],
  /** and eax, 10300h: RF, IF and TF. */
  onlyFlags: [0x25, 0x00, 0x03, 0x01, 0x00],
  /** add rax, [rdi+68h]. */
  addArgument: [0x48, 0x03, 0x47, 0x68],
  popf: [0x9d],
  /** or dword [rsp], 100h: the trap flag, in flags that were pushed. */
  setTrap: [0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00],
  /** int 3, in two bytes; with the byte behind it its second one is add eax, eax. */
  int3: [0xcd, 0x03],
  rest: [0xc0],
  return: [0xc3],
} as const;
