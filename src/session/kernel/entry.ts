import type { Vaddr } from "../../symbols/vaddr.js";

const ENDBR64 = [0xf3, 0x0f, 0x1e, 0xfa];
/** The five-byte `nop` that a kernel has where its function tracer may put a call. */
const NOP5 = [0x0f, 0x1f, 0x44, 0x00, 0x00];
const CALL = 0xe8;
/** `e8` and its distance; also the length of {@link NOP5}. */
const CALL_LENGTH = 5;

/** As many bytes of a function as {@link traceSiteLength} looks at. */
export const ENTRY_BYTES = ENDBR64.length + CALL_LENGTH;

/**
 * Bytes at a function's beginning that belong to the kernel's function tracer: a call of `__fentry__`, or the
 * `nop` that a build or a boot made of it. A kernel writes there whenever somebody traces, or puts a kprobe
 * on the function: a breakpoint of ours stands behind them, where nothing has happened yet that a handler
 * could see. Linux, Documentation/trace/ftrace.rst, "dynamic ftrace"; gcc(1), -mfentry.
 *
 * @param bytes  from the function's beginning, as its file has them
 * @param fentry where `__fentry__` is
 * @returns 0 where there are none
 */
export function traceSiteLength(vaddr: Vaddr, bytes: Uint8Array, fentry: Vaddr | undefined): number {
  const start = startsWith(bytes, 0, ENDBR64) ? ENDBR64.length : 0;
  if (startsWith(bytes, start, NOP5)) return start + CALL_LENGTH;
  if (bytes[start] !== CALL || bytes.length < start + CALL_LENGTH || fentry === undefined) return 0;
  const distance = new DataView(bytes.buffer, bytes.byteOffset).getInt32(start + 1, true);
  return vaddr + start + CALL_LENGTH + distance === fentry ? start + CALL_LENGTH : 0;
}

function startsWith(bytes: Uint8Array, at: number, wanted: readonly number[]): boolean {
  return wanted.every((byte, index) => bytes[at + index] === byte);
}
