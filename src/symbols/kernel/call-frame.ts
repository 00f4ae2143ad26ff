import type { Formula, GeneralRegister } from "../types/location.js";
import type { Vaddr } from "../vaddr.js";
import { ORC_BASE, type OrcTable } from "./orc-table.js";

/** Registers that a frame of the kernel is counted from by themselves. */
const BASES: Readonly<Record<number, GeneralRegister>> = {
  [ORC_BASE.rsp]: "rsp",
  [ORC_BASE.rbp]: "rbp",
  [ORC_BASE.r10]: "r10",
  [ORC_BASE.r13]: "r13",
  [ORC_BASE.rdi]: "rdi",
  [ORC_BASE.rdx]: "rdx",
};

/** Where the frame of a place in the kernel's text begins, by the kernel's own unwinding tables. */
export function callFrameBy(orc: OrcTable | undefined): (vaddr: Vaddr) => Formula | undefined {
  return (vaddr) => {
    const entry = orc?.at(vaddr);
    const register = entry?.kind === "call" ? BASES[entry.spBase] : undefined;
    if (entry === undefined || register === undefined) return undefined;
    // The odd registers hold the frame itself: unwind.ts counts nothing from them.
    const isOdd = register !== "rsp" && register !== "rbp";
    const offset = isOdd ? 0 : entry.spOffset;
    const left: Formula = { kind: "register", register };
    return offset === 0
      ? left
      : { kind: "operation", operator: "+", left, right: { kind: "constant", value: BigInt(offset) } };
  };
}
