import { TargetError } from "../../base/errors.js";
import { rangeAt, type VaddrRange } from "../vaddr.js";
import { SYMBOL_TYPE } from "./facts.js";
import type { SymbolBinding, SymbolTable } from "./symbol-table.js";

/** The text symbols of several tables in order of address, as columns; names are decoded when asked for, once. */
export interface SortedSymbols {
  readonly count: number;
  readonly addresses: Float64Array;
  readonly sizes: Float64Array;
  /** `STT_FUNC`, `STT_GNU_IFUNC` or `STT_NOTYPE`. */
  readonly types: Uint8Array;
  /** @throws TargetError the names are so long together that the tables must be damaged */
  name(at: number): string;
  binding(at: number): SymbolBinding;
}

/** How often a byte of a string table may be used. Real tables share a tenth of their bytes, once. */
const NAMES_SHARING = 16;
const MIN_BUDGET = 1 << 20;

/**
 * Functions, IFUNCs and untyped labels that lie in code. At one address, the tables' order.
 *
 * @param code sorted
 */
export function sortSymbols(tables: readonly SymbolTable[], code: readonly VaddrRange[]): SortedSymbols {
  const total = tables.reduce((sum, table) => sum + table.count, 0);
  const found = {
    tables: new Uint8Array(total),
    indices: new Uint32Array(total),
    addresses: new Float64Array(total),
  };
  let count = 0;
  tables.forEach((table, number) => {
    let section: VaddrRange | undefined;
    for (let index = 1; index < table.count; index += 1) {
      const type = table.type(index);
      if (type !== SYMBOL_TYPE.func && type !== SYMBOL_TYPE.ifunc && type !== SYMBOL_TYPE.notype) continue;
      if (!table.placed(index) || !table.named(index)) continue;
      const vaddr = table.vaddr(index);
      // Nearly all symbols lie in the section that the one before lay in.
      if (section === undefined || vaddr < section.start || vaddr >= section.end)
        section = rangeAt(code, vaddr);
      if (section === undefined) continue;
      found.tables[count] = number;
      found.indices[count] = index;
      found.addresses[count] = vaddr;
      count += 1;
    }
  });

  const order = orderOf(found.addresses.subarray(0, count));
  const tableOf = new Uint8Array(count);
  const indexOf = new Uint32Array(count);
  const addresses = new Float64Array(count);
  const sizes = new Float64Array(count);
  const types = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) {
    const from = order[at] ?? 0;
    const number = found.tables[from] ?? 0;
    const index = found.indices[from] ?? 0;
    const table = tables[number];
    tableOf[at] = number;
    indexOf[at] = index;
    addresses[at] = found.addresses[from] ?? 0;
    sizes[at] = table?.size(index) ?? 0;
    types[at] = table?.type(index) ?? 0;
  }
  const names: (string | undefined)[] = [];
  // Names can share their ends in a string table, but not so that a few bytes of it become gigabytes of names.
  let budget = tables.reduce((sum, table) => sum + table.namesSize * NAMES_SHARING, MIN_BUDGET);
  const decode = (at: number) => {
    const name = tables[tableOf[at] ?? 0]?.name(indexOf[at] ?? 0) ?? "";
    budget -= name.length;
    if (budget < 0)
      throw new TargetError("the symbol table is damaged: its names are longer than its strings");
    return name;
  };
  return {
    count,
    addresses,
    sizes,
    types,
    name: (at) => (names[at] ??= decode(at)),
    binding: (at) => tables[tableOf[at] ?? 0]?.binding(indexOf[at] ?? 0) ?? "local",
  };
}

const EXACT = 2 ** 53;

/** Positions in order of their addresses; equal addresses keep their order. */
function orderOf(addresses: Float64Array): Uint32Array {
  const count = addresses.length;
  let least = Infinity;
  let most = -Infinity;
  for (const address of addresses) {
    if (address < least) least = address;
    if (address > most) most = address;
  }
  if ((most - least + 1) * count < EXACT) {
    // Address and position in one number: sorting numbers is many times faster than sorting with a comparison.
    const keys = addresses.map((address, at) => (address - least) * count + at).sort();
    return Uint32Array.from(keys, (key) => key % count);
  }
  const order = Uint32Array.from(addresses, (_, at) => at);
  return order.sort((one, other) => (addresses[one] ?? 0) - (addresses[other] ?? 0) || one - other);
}
