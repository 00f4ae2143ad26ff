import type { Glob } from "../glob.js";
import { rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import type { SymbolIndex } from "./symbol-index.js";

/** A function of a kernel or a module. */
export interface KernelFunction {
  readonly name: string;
  readonly vaddr: Vaddr;
  /** Up to the next symbol, padding behind it included. */
  readonly size: number;
  /** EXPORT_SYMBOL: modules may call it. */
  readonly exported: boolean;
}

/** What the linker script puts between functions; text symbols, and none. */
const MARK =
  /^(_text|_[es](init)?text|__[a-z_]+_text_(start|end)|__indirect_thunk_(start|end)|__relocate_.*)$/;
/** Names that the compiler gives to a part of a function, and to padding in front of one. */
const PART = /\.(cold|part)(\.|$)|^__(pfx|cfi)_/;
/** What the compiler appends to the name of a function whose parameters it has changed. */
const CLONE = /\.(isra|constprop|llvm|lto_priv)\.[0-9]+(?=\.|$)/g;

/** Text symbols that a pattern names, in order of address; aliases at one address as one. */
export class FunctionNames {
  private kept: Uint32Array | undefined;
  private byStem: Map<string, number[]> | undefined;

  constructor(
    private readonly symbols: SymbolIndex,
    /** Sorted. */
    private readonly text: readonly VaddrRange[],
    private readonly exported: () => ReadonlySet<number>,
  ) {}

  /**
   * `*`, `?` and `[…]` match functions; a name without them also finds `.cold` parts. A function that the
   * compiler has changed (`foo.isra.0`) is found by its name in the source too, as SystemTap finds it.
   */
  find(glob: Glob): KernelFunction[] {
    const { columns } = this.symbols;
    const found: KernelFunction[] = [];
    const exported = this.exported();
    let address = NaN;
    const candidates = glob.exact === undefined ? this.indices() : this.named(glob.exact);
    for (const index of candidates) {
      const name = columns.name(index);
      if (!matches(glob, name)) continue;
      const vaddr = (columns.addresses[index] ?? 0) as Vaddr;
      const global = isGlobal(columns.type(index));
      if (vaddr === address && !global) continue;
      if (vaddr === address) found.pop();
      address = vaddr;
      const end = rangeAt(this.text, vaddr)?.end ?? vaddr;
      found.push({
        name,
        vaddr,
        size: this.symbols.sizeFrom(index, end),
        exported: exported.has(vaddr),
      });
    }
    return found;
  }

  /** Positions of those whose name is this one up to the first dot: what the compiler appends stands behind it. */
  private named(exact: string): readonly number[] {
    if (this.byStem === undefined) {
      this.byStem = new Map();
      for (const index of this.indices()) {
        const stem = stemOf(this.symbols.columns.name(index));
        const same = this.byStem.get(stem);
        if (same === undefined) this.byStem.set(stem, [index]);
        else same.push(index);
      }
    }
    return this.byStem.get(stemOf(exact)) ?? [];
  }

  /** Positions of text symbols that name functions. */
  private indices(): Uint32Array {
    if (this.kept !== undefined) return this.kept;
    const { columns, count } = this.symbols;
    const found = new Uint32Array(count);
    let length = 0;
    for (let index = columns.absolute; index < count; index += 1) {
      const type = columns.type(index);
      if (!"tTwW".includes(type) || rangeAt(this.text, columns.addresses[index] as Vaddr) === undefined)
        continue;
      if (MARK.test(columns.name(index))) continue;
      found[length] = index;
      length += 1;
    }
    this.kept = found.slice(0, length);
    return this.kept;
  }
}

function matches(glob: Glob, name: string): boolean {
  if (glob.exact !== undefined)
    return name === glob.exact || (name.includes(".") && name.replace(CLONE, "") === glob.exact);
  if (name.includes(".") || name.startsWith("__")) {
    if (PART.test(name)) return false;
    if (name.includes(".") && glob.matches(name.replace(CLONE, ""))) return true;
  }
  return glob.matches(name);
}

function isGlobal(type: string): boolean {
  return type === "T" || type === "W";
}

function stemOf(name: string): string {
  const dot = name.indexOf(".");
  return dot < 0 ? name : name.slice(0, dot);
}
