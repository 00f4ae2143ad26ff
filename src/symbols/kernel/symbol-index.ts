import { lastAtOrBefore, type Vaddr } from "../vaddr.js";
import type { KallsymsTables } from "./kallsyms-tables.js";

/** A symbol of a kernel or a module. */
export interface KernelSymbol {
  readonly name: string;
  readonly vaddr: Vaddr;
  /** As nm(1) has it: `T` and `t` are text, `D` data, `A` an absolute number (of a per-CPU variable, its offset). */
  readonly type: string;
}

/** A name for an address. */
export interface KernelSymbolAt {
  readonly name: string;
  readonly start: Vaddr;
  /** Bytes from `start`. */
  readonly offset: number;
  /** Up to the next symbol: padding behind a function counts as its own, as the kernel itself counts. */
  readonly size: number;
}

/** Symbols as columns: hundreds of thousands, of which few are ever named. */
export interface SymbolColumns {
  readonly count: number;
  /** Ascending from `absolute` on. */
  readonly addresses: Float64Array;
  readonly absolute: number;
  name(index: number): string;
  type(index: number): string;
}

/** Symbols of kallsyms tables; names are decoded when asked for, and kept. */
export function kallsymsColumns(tables: KallsymsTables): SymbolColumns {
  const { count, addresses, absolute, names, nameOffsets, tokens } = tables;
  const kept: (string | undefined)[] = [];
  const wordAt = (index: number): string => {
    const offset = nameOffsets[index] ?? 0;
    const low = names[offset] ?? 0;
    const big = low >= 0x80;
    const length = big ? (low & 0x7f) | ((names[offset + 1] ?? 0) << 7) : low;
    const from = offset + (big ? 2 : 1);
    let word = "";
    for (let at = from; at < from + length; at += 1) word += tokens[names[at] ?? 0] ?? "";
    return word;
  };
  return {
    count,
    addresses,
    absolute,
    name: (index) => (kept[index] ??= wordAt(index).slice(1)),
    type: (index) => {
      const offset = nameOffsets[index] ?? 0;
      return tokens[names[offset + ((names[offset] ?? 0) >= 0x80 ? 2 : 1)] ?? 0]?.charAt(0) ?? "?";
    },
  };
}

/** Finds symbols by name and by address. */
export class SymbolIndex {
  private byName: Map<string, number> | undefined;

  constructor(readonly columns: SymbolColumns) {}

  get count(): number {
    return this.columns.count;
  }

  /** The first of that name in order of address; static ones can share a name. */
  find(name: string): KernelSymbol | undefined {
    const index = this.names().get(name);
    return index === undefined ? undefined : this.symbol(index);
  }

  symbol(index: number): KernelSymbol {
    const { columns } = this;
    return {
      name: columns.name(index),
      vaddr: (columns.addresses[index] ?? 0) as Vaddr,
      type: columns.type(index),
    };
  }

  *all(): Generator<KernelSymbol> {
    for (let index = 0; index < this.count; index += 1) yield this.symbol(index);
  }

  /**
   * @param end of what holds the address: the last symbol there ends with it
   * @returns of several symbols at one address, the first global one, else the first
   */
  at(vaddr: Vaddr, end: Vaddr): KernelSymbolAt | undefined {
    const { addresses, absolute, count } = this.columns;
    const last = absolute + lastAtOrBefore(count - absolute, (index) => addresses[absolute + index], vaddr);
    if (last < absolute) return undefined;
    const start = addresses[last] ?? 0;
    let first = last;
    while (first > absolute && addresses[first - 1] === start) first -= 1;
    let best = first;
    for (let index = last; index >= first; index -= 1) {
      const type = this.columns.type(index);
      if (type === type.toUpperCase()) best = index;
    }
    return {
      name: this.columns.name(best),
      start: start as Vaddr,
      offset: vaddr - start,
      size: this.sizeFrom(last, end),
    };
  }

  /** From a symbol to the next that stands elsewhere. */
  sizeFrom(index: number, end: Vaddr): number {
    const { addresses, count } = this.columns;
    const start = addresses[index] ?? 0;
    let next = index + 1;
    while (next < count && addresses[next] === start) next += 1;
    const stop = next < count ? Math.min(addresses[next] ?? end, end) : end;
    return Math.max(0, stop - start);
  }

  private names(): Map<string, number> {
    if (this.byName !== undefined) return this.byName;
    const names = new Map<string, number>();
    for (let index = this.count - 1; index >= 0; index -= 1) names.set(this.columns.name(index), index);
    this.byName = names;
    return names;
  }
}
