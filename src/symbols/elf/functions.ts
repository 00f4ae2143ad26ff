import type { Glob } from "../glob.js";
import { lastAtOrBefore, rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import { SYMBOL_TYPE } from "./facts.js";
import { type SortedSymbols, sortSymbols } from "./sorted-symbols.js";
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
 * All text symbols of an image, aliases at one address folded into one location. Built once, in
 * time for its number of symbols: 10 ms for the C library's ten thousand; locations are made when
 * they are asked for, and kept.
 */
export class FunctionIndex {
  private readonly symbols: SortedSymbols;
  /** Addresses, ascending, one for each location. */
  private readonly starts: Float64Array;
  /** Symbols of location `i` are `firsts[i]` … `firsts[i + 1]` - 1 of {@link symbols}. */
  private readonly firsts: Uint32Array;
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
    tables: readonly SymbolTable[],
    private readonly code: readonly VaddrRange[],
  ) {
    const symbols = sortSymbols(tables, code);
    const starts = new Float64Array(symbols.count);
    this.firsts = new Uint32Array(symbols.count + 1);
    let locations = 0;
    for (let at = 0; at < symbols.count; at += 1) {
      const address = symbols.addresses[at] ?? 0;
      if (locations > 0 && starts[locations - 1] === address) continue;
      starts[locations] = address;
      this.firsts[locations] = at;
      locations += 1;
    }
    this.firsts[locations] = symbols.count;
    this.symbols = symbols;
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
    if (glob.exact !== undefined)
      return (this.names().get(glob.exact) ?? []).map((index) => this.location(index));
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
    const nearest = lastAtOrBefore(this.count, (index) => this.starts[index], vaddr);
    for (let index = nearest; index >= 0 && (this.reach[index] ?? 0) > vaddr; index -= 1) {
      if ((this.ends[index] ?? 0) > vaddr) return this.location(index);
    }
    if (nearest < 0) return undefined;
    const start = this.starts[nearest] ?? Infinity;
    const unsized = this.ends[nearest] === start;
    return unsized && start >= section.start ? this.location(nearest) : undefined;
  }

  private measure(): void {
    const { types, sizes } = this.symbols;
    let reach = -Infinity;
    for (let index = 0; index < this.starts.length; index += 1) {
      const start = this.starts[index] ?? 0;
      const last = this.first(index + 1);
      let size = 0;
      for (let at = this.first(index); at < last; at += 1) {
        // A sized label is data among instructions or half of a function: it must not hide its function.
        if (types[at] !== SYMBOL_TYPE.notype) size = Math.max(size, sizes[at] ?? 0);
      }
      const end =
        size === 0 ? start : Math.min(start + size, rangeAt(this.code, start as Vaddr)?.end ?? start);
      reach = Math.max(reach, end);
      this.ends[index] = end;
      this.reach[index] = reach;
    }
  }

  private hasMatch(index: number, glob: Glob): boolean {
    const last = this.first(index + 1);
    for (let at = this.first(index); at < last; at += 1) {
      if (this.symbols.types[at] === SYMBOL_TYPE.notype) continue;
      const name = this.symbols.name(at);
      if (!isFragmentName(name) && glob.matches(name)) return true;
    }
    return false;
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
    const last = this.first(index + 1);
    let kind: FunctionKind = "label";
    for (let at = this.first(index); at < last; at += 1) {
      const type = this.symbols.types[at];
      if (type === SYMBOL_TYPE.ifunc) kind = "ifunc";
      else if (type === SYMBOL_TYPE.func && kind === "label") kind = "function";
      const name = this.symbols.name(at);
      if (!bindings.has(name)) bindings.set(name, this.symbols.binding(at));
    }
    const names = [...bindings.keys()];
    if (names.length > 1) names.sort((one, other) => preferName(one, other, bindings));
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
      const last = this.first(index + 1);
      for (let at = this.first(index); at < last; at += 1) {
        const name = this.symbols.name(at);
        const known = byName.get(name);
        if (known === undefined) byName.set(name, [index]);
        else if (known.at(-1) !== index) known.push(index);
      }
    }
    this.byName = byName;
    return byName;
  }

  private first(index: number): number {
    return this.firsts[index] ?? 0;
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
