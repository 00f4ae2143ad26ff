import { type Address, offsetBy } from "../../../../base/address.js";
import type { Machine } from "../machine.js";
import type { Symbols } from "./processors.js";

/**
 * What a kernel does about once a second, whatever else it does: keep the time (kernel/time/ntp.c), look after its
 * counters (mm/vmstat.c), write pages back (fs/fs-writeback.c).
 */
const ABOUT_ONCE_A_SECOND = ["second_overflow", "vmstat_shepherd", "wb_workfn"];

const ENDBR = [0xf3, 0x0f, 0x1e, 0xfa];
/** Where ftrace writes a call when it likes. */
const FTRACE_NOP = [0x0f, 0x1f, 0x44, 0x00, 0x00];
const CALL = 0xe8;

/**
 * Where a breakpoint makes the kernel come to us again and again: a kernel with KGDB that runs cannot be asked for
 * anything, not even to stop.
 *
 * @returns in the order to be tried in
 */
export function pulses(machine: Machine, image: Symbols, slide: number): readonly Address[] {
  return ABOUT_ONCE_A_SECOND.flatMap((name) => {
    const vaddr = image.symbol(name);
    return vaddr === undefined ? [] : [behindEntry(machine, (vaddr + slide) as Address)];
  });
}

function behindEntry(machine: Machine, entry: Address): Address {
  const bytes = new Uint8Array(ENDBR.length + FTRACE_NOP.length);
  machine.read(entry, bytes);
  const is = (code: readonly number[], from: number): boolean =>
    code.every((byte, index) => bytes[from + index] === byte);
  const at = is(ENDBR, 0) ? ENDBR.length : 0;
  return offsetBy(entry, is(FTRACE_NOP, at) || bytes[at] === CALL ? at + FTRACE_NOP.length : at);
}
