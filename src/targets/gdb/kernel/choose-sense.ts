import type { Address } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import type { GdbClient } from "../protocol/client.js";
import { Doors } from "./doors.js";
import { EntryBreakpoints } from "./entry-breakpoints.js";
import type { GateTable } from "./idt.js";
import type { Machine } from "./machine.js";
import type { TrapSense } from "./trap-sense.js";

/** Doors where the stub can watch memory and the kernel has room for them; breakpoints on its entries elsewhere. */
export function chooseSense(
  client: GdbClient,
  machine: Machine,
  image: KernelImage,
  { slide, gates }: { readonly slide: number; readonly gates: GateTable },
  mayWatch: boolean,
): TrapSense {
  const read = (at: Address, into: Uint8Array): number => machine.read(at, into);
  const write = (at: Address, bytes: Uint8Array): boolean => machine.write(at, bytes);
  const range = (first: string, behind: string): { start: Address; end: Address } | undefined => {
    const [start, end] = [image.symbol(first), image.symbol(behind)];
    if (start === undefined || end === undefined) return undefined;
    return { start: (start + slide) as Address, end: (end + slide) as Address };
  };
  const entryText = range("__entry_text_start", "__entry_text_end");
  const text = range("_stext", "_etext") ?? range("_text", "_etext");
  if (mayWatch && entryText !== undefined && text !== undefined) {
    const doors = Doors.build(client, read, write, gates, { entryText, text });
    if (doors !== undefined) return doors;
  }
  return new EntryBreakpoints(client, read, gates);
}
