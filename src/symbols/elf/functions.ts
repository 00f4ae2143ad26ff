import type { Glob } from "../glob.js";
import { rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import { SYMBOL_TYPE } from "./facts.js";
import type { SymbolBinding, SymbolTable } from "./symbol-table.js";

/**
 * - `function`: STT_FUNC
 * - `ifunc`: STT_GNU_IFUNC; `vaddr` is the resolver, which runs once and returns the implementation
 * - `label`: no type, as assembler labels have none
 * - `fragment`: a part that the compiler moved away (`name.cold`); it is jumped to, never called
 */
export type FunctionKind = "function" | "ifunc" | "label" | "fragment";

/** One place in the text, however many names it has. */
export interface FunctionLocation {
  readonly kind: FunctionKind;
  readonly vaddr: Vaddr;
  /**
   * Behind its last byte: by the size of its symbol or, where the symbol states none, up to the
   * next symbol or the end of the section. Never past the end of the section.
   */
  readonly end: Vaddr;
  /** The symbol states its size. */
  readonly sized: boolean;
  /** The name to show: see {@link preferName}. */
  readonly name: string;
  /** All names, that one first. */
  readonly names: readonly string[];
  readonly binding: SymbolBinding;
}

/**
 * All text symbols of an image, aliases at one address folded into one location. Built once,
 * in time for its number of symbols; locations are made when they are asked for, and kept.
 */
export class FunctionIndex {
  /** Addresses, ascending, one for each location. */
  private readonly starts: Float64Array;
  /** Members of location `i` are `firsts[i]` … `firsts[i + 1]` - 1 of {@link members}. */
  private readonly firsts: Uint32Array;
  private readonly members: Uint32Array;
  private readonly tableOf: Uint8Array;
  private readonly indexOf: Uint32Array;
  /** End of the longest stated size of a location's functions; its start where none is stated. */
  private readonly ends: Float64Array;
  /** The largest of `ends[0 … i]`: how far back a symbol can lie that still covers an address. */
  private readonly reach: Float64Array;
  private readonly locations: (FunctionLocation | undefined)[] = [];
  private byName: ReadonlyMap<string, readonly number[]> | undefined;

  /**
   * @param tables what comes first is asked first; a name at one address counts once
   * @param code   ranges that hold instructions, sorted; symbols elsewhere are data
   */
  constructor(
    private readonly tables: readonly SymbolTable[],
    private readonly code: readonly VaddrRange[],
  ) {
    const total = tables.reduce((sum, table) => sum + table.count, 0);
    this.tableOf = new Uint8Array(total);
    this.indexOf = new Uint32Array(total);
    const addresses = new Float64Array(total);
    const count = this.collect(addresses);
    this.members = sortedByAddress(addresses, count);

    const starts = new Float64Array(count);
    this.firsts = new Uint32Array(count + 1);
    let locations = 0;
    for (let at = 0; at < count; at += 1) {
      const address = at32(addresses, this.members, at);
      if (locations > 0 && starts[locations - 1] === address) continue;
      starts[locations] = address;
      this.firsts[locations] = at;
      locations += 1;
    }
    this.firsts[locations] = count;
    this.starts = starts.subarray(0, locations);
    this.ends = new Float64Array(locations);
    this.reach = new Float64Array(locations);
    this.measure();
  }

  /** Number of locations. */
  get count(): number {
    return this.starts.length;
  }

  /**
   * Locations that a pattern names, in order of address. A pattern without wildcards finds every
   * text symbol of that name, labels and fragments too; one with wildcards finds functions and
   * IFUNCs only.
   */
  find(glob: Glob): FunctionLocation[] {
    if (glob.exact !== undefined) return (this.names().get(glob.exact) ?? []).map((index) => this.location(index));
    const found: FunctionLocation[] = [];
    for (let index = 0; index < this.count; index += 1) {
      if (this.hasMatch(index, glob)) found.push(this.location(index));
    }
    return found;
  }

  /**
   * The symbol that an address belongs to: the innermost function whose size covers it, else the
   * nearest symbol in front that states no size.
   */
  at(vaddr: Vaddr): FunctionLocation | undefined {
    const section = rangeAt(this.code, vaddr);
    if (section === undefined) return undefined;
    const nearest = this.lastAtOrBefore(vaddr);
    for (let index = nearest; index >= 0 && (this.reach[index] ?? 0) > vaddr; index -= 1) {
      if ((this.ends[index] ?? 0) > vaddr) return this.location(index);
    }
    if (nearest < 0) return undefined;
    const start = this.starts[nearest] ?? Infinity;
    const unsized = this.ends[nearest] === start;
    return unsized && start >= section.start ? this.location(nearest) : undefined;
  }

  private collect(addresses: Float64Array): number {
    let count = 0;
    this.tables.forEach((table, number) => {
      for (let index = 1; index < table.count; index += 1) {
        const type = table.type(index);
        if (type !== SYMBOL_TYPE.func && type !== SYMBOL_TYPE.ifunc && type !== SYMBOL_TYPE.notype) continue;
        if (!table.placed(index) || !table.named(index)) continue;
        const vaddr = table.vaddr(index);
        if (rangeAt(this.code, vaddr) === undefined) continue;
        this.tableOf[count] = number;
        this.indexOf[count] = index;
        addresses[count] = vaddr;
        count += 1;
      }
    });
    return count;
  }

  private measure(): void {
    let reach = -Infinity;
    for (let index = 0; index < this.starts.length; index += 1) {
      const start = this.starts[index] ?? 0;
      let size = 0;
      for (let at = this.first(index); at < this.first(index + 1); at += 1) {
        const { table, symbol } = this.member(at);
        // A sized label is data among instructions or half of a function: it must not hide its function.
        if (table.type(symbol) !== SYMBOL_TYPE.notype) size = Math.max(size, table.size(symbol));
      }
      const section = rangeAt(this.code, start as Vaddr);
      const end = Math.min(start + size, section?.end ?? start);
      reach = Math.max(reach, end);
      this.ends[index] = end;
      this.reach[index] = reach;
    }
  }

  private hasMatch(index: number, glob: Glob): boolean {
    let fragments = true;
    let match = false;
    for (let at = this.first(index); at < this.first(index + 1); at += 1) {
      const { table, symbol } = this.member(at);
      if (table.type(symbol) === SYMBOL_TYPE.notype) continue;
      const name = table.name(symbol);
      if (isFragmentName(name)) continue;
      fragments = false;
      match ||= glob.matches(name);
    }
    return match && !fragments;
  }

  private location(index: number): FunctionLocation {
    const known = this.locations[index];
    if (known !== undefined) return known;
    const made = this.makeLocation(index);
    this.locations[index] = made;
    return made;
  }

  private makeLocation(index: number): FunctionLocation {
    const bindings = new Map<string, SymbolBinding>();
    let kind: FunctionKind = "label";
    for (let at = this.first(index); at < this.first(index + 1); at += 1) {
      const { table, symbol } = this.member(at);
      const type = table.type(symbol);
      if (type === SYMBOL_TYPE.ifunc) kind = "ifunc";
      else if (type === SYMBOL_TYPE.func && kind === "label") kind = "function";
      const name = table.name(symbol);
      if (!bindings.has(name)) bindings.set(name, table.binding(symbol));
    }
    const names = [...bindings.keys()].sort((one, other) => preferName(one, other, bindings));
    if (kind === "function" && names.every(isFragmentName)) kind = "fragment";
    const name = names[0] ?? "";
    const vaddr = (this.starts[index] ?? 0) as Vaddr;
    const statedEnd = (this.ends[index] ?? 0) as Vaddr;
    const sized = statedEnd > vaddr;
    const end = sized ? statedEnd : this.endOfUnsized(index, vaddr);
    return { kind, vaddr, end, sized, name, names, binding: bindings.get(name) ?? "local" };
  }

  private endOfUnsized(index: number, vaddr: Vaddr): Vaddr {
    const sectionEnd = rangeAt(this.code, vaddr)?.end ?? vaddr;
    return Math.min(this.starts[index + 1] ?? Infinity, sectionEnd) as Vaddr;
  }

  private names(): ReadonlyMap<string, readonly number[]> {
    if (this.byName !== undefined) return this.byName;
    const byName = new Map<string, number[]>();
    for (let index = 0; index < this.count; index += 1) {
      for (let at = this.first(index); at < this.first(index + 1); at += 1) {
        const { table, symbol } = this.member(at);
        const name = table.name(symbol);
        const known = byName.get(name);
        if (known === undefined) byName.set(name, [index]);
        else if (known.at(-1) !== index) known.push(index);
      }
    }
    this.byName = byName;
    return byName;
  }

  private lastAtOrBefore(vaddr: Vaddr): number {
    let low = 0;
    let high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.starts[middle] ?? Infinity) <= vaddr) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  private first(index: number): number {
    return this.firsts[index] ?? 0;
  }

  private member(at: number): { table: SymbolTable; symbol: number } {
    const member = this.members[at] ?? 0;
    // collect() wrote the number of a table that exists.
    return { table: this.tables[this.tableOf[member] ?? 0] as SymbolTable, symbol: this.indexOf[member] ?? 0 };
  }
}

/**
 * The name to show comes first: exported (global or weak) before local, then with fewer leading
 * underscores, then global before weak, then the shorter, then by alphabet. So the C library's
 * `puts` is `puts`, which is weak there, and not `_IO_puts`, which is global.
 */
function preferName(one: string, other: string, bindings: ReadonlyMap<string, SymbolBinding>): number {
  const bindingOne = bindings.get(one);
  const bindingOther = bindings.get(other);
  return (
    Number(bindingOne === "local") - Number(bindingOther === "local") ||
    underscores(one) - underscores(other) ||
    Number(bindingOne === "weak") - Number(bindingOther === "weak") ||
    one.length - other.length ||
    (one < other ? -1 : 1)
  );
}

function underscores(name: string): number {
  let count = 0;
  while (name[count] === "_") count += 1;
  return count;
}

/** GCC's and Clang's names for the unlikely part of a function. */
function isFragmentName(name: string): boolean {
  return name.includes(".cold") && /\.cold(\.\d+)?$/.test(name);
}

/** Positions 0 … count - 1 in order of their addresses; equal ones keep their order. */
function sortedByAddress(addresses: Float64Array, count: number): Uint32Array {
  const order = new Uint32Array(count);
  for (let at = 0; at < count; at += 1) order[at] = at;
  return order.sort((one, other) => (addresses[one] ?? 0) - (addresses[other] ?? 0) || one - other);
}

function at32(values: Float64Array, order: Uint32Array, at: number): number {
  return values[order[at] ?? 0] ?? 0;
}
