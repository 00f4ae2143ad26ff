import type { RefusalReason } from "../../base/refusals.js";
import { mergeRanges, rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import type { KernelSymbolAt } from "./symbol-index.js";

/** A stretch of text that is forbidden as a whole. */
export interface NamedStretch extends VaddrRange {
  readonly reason: RefusalReason;
}

/** A table whose entries begin with the distance of a place from themselves. */
export interface ForbiddenTable {
  readonly bytes: Uint8Array;
  readonly start: Vaddr;
  readonly entrySize: number;
}

/** What tells where no probe may be. */
export interface ForbiddenPlaces {
  readonly text: readonly VaddrRange[];
  readonly stretches: readonly NamedStretch[];
  /** NOKPROBE_SYMBOL: pointers to functions, wholly forbidden. */
  readonly blacklist: Uint8Array | undefined;
  /** Places that the kernel patches while it runs. */
  readonly patched: readonly ForbiddenTable[];
  symbolAt(vaddr: Vaddr): KernelSymbolAt | undefined;
  byteAt(vaddr: Vaddr): number | undefined;
}

const POINTER = 8;
const INT3 = 0xcc;

/**
 * Where in a kernel's or a module's text no probe may be: what the kernel's own kprobes refuse, for the same
 * reasons, and what a breakpoint would spoil. Linux, kernel/kprobes.c and arch/x86/kernel/kprobes/core.c.
 */
export class ForbiddenText {
  private readonly blacklist: readonly VaddrRange[];
  private readonly patched: ReadonlySet<number>;

  constructor(private readonly places: ForbiddenPlaces) {
    this.blacklist = mergeRanges(blacklisted(places));
    this.patched = patchedPlaces(places.patched);
  }

  /** @returns why not; undefined where nothing speaks against a probe */
  at(vaddr: Vaddr): RefusalReason | undefined {
    const { places } = this;
    if (rangeAt(places.text, vaddr) === undefined) return "not-code";
    const stretch = places.stretches.find(({ start, end }) => vaddr >= start && vaddr < end);
    if (stretch !== undefined) return stretch.reason;
    if (rangeAt(this.blacklist, vaddr) !== undefined) return "kprobe-blacklist";
    if (this.patched.has(vaddr)) return "patched-text";
    return places.byteAt(vaddr) === INT3 ? "padding" : undefined;
  }
}

function blacklisted(places: ForbiddenPlaces): VaddrRange[] {
  const bytes = Buffer.from(places.blacklist ?? []);
  const ranges: VaddrRange[] = [];
  for (let at = 0; at + POINTER <= bytes.length; at += POINTER) {
    const symbol = places.symbolAt(Number(bytes.readBigInt64LE(at)) as Vaddr);
    if (symbol !== undefined)
      ranges.push({ start: symbol.start, end: (symbol.start + symbol.size) as Vaddr });
  }
  return ranges;
}

function patchedPlaces(tables: readonly ForbiddenTable[]): ReadonlySet<number> {
  const found = new Set<number>();
  for (const { bytes, start, entrySize } of tables) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + entrySize <= view.byteLength; at += entrySize)
      found.add(start + at + view.getInt32(at, true));
  }
  return found;
}
