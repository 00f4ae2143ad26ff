import type { Address } from "../../../base/address.js";
import { TargetError } from "../../../base/errors.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import { StubRefusal } from "../protocol/errors.js";
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
    const doors = unlessWithinKernel(client, () =>
      Doors.build(client, read, write, gates, { entryText, text }),
    );
    if (doors !== undefined) return doors;
  }
  return new EntryBreakpoints(client, read, gates);
}

/**
 * A stub that refuses to watch memory, and does not just lack the packet, is KGDB: it uses int3 itself, so that
 * a breakpoint at the entry of int3 would end the machine.
 */
function unlessWithinKernel<Result>(client: GdbClient, build: () => Result): Result {
  try {
    return build();
  } catch (error) {
    if (!(error instanceof StubRefusal)) throw error;
    throw new TargetError(`${client.name}: a stub within the kernel (KGDB) cannot carry probes yet`, {
      cause: error,
      remedy: "probe the kernel behind QEMU's stub, or with --lab --kernel IMAGE",
    });
  }
}
