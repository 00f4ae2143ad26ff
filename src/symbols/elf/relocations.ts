import type { Vaddr } from "../vaddr.js";
import type { DynamicSegment } from "./dynamic.js";
import { RELA_SIZE, RELOCATION, SECTION } from "./facts.js";
import { type Fields, vaddrIn } from "./fields.js";
import type { ElfFile } from "./file.js";
import type { SymbolTable } from "./symbol-table.js";

/** One `Elf64_Rela`. */
export interface ElfRelocation {
  /** Where the dynamic linker writes. */
  readonly slot: Vaddr;
  /** `R_X86_64_*`. */
  readonly type: number;
  /** Index in the dynamic symbols, 0 for none. */
  readonly symbol: number;
  readonly addend: number;
}

/**
 * The dynamic relocations of an image (`.rela.dyn`, `.rela.plt`; not RELR, which only has what
 * R_X86_64_RELATIVE says, with the addend in the slot itself).
 */
export class RelocationTable {
  constructor(
    private readonly pieces: readonly Fields[],
    private readonly symbols: SymbolTable | undefined,
  ) {}

  *[Symbol.iterator](): Generator<ElfRelocation> {
    for (const piece of this.pieces) {
      for (let at = 0; at + RELA_SIZE <= piece.length; at += RELA_SIZE) {
        yield {
          slot: vaddrIn(piece.view, at),
          type: piece.view.getUint32(at + 8, true),
          symbol: piece.view.getUint32(at + 12, true),
          addend: vaddrIn(piece.view, at + 16),
        };
      }
    }
  }

  /** The name of a relocation's symbol, `""` where it has none. */
  symbolName(relocation: ElfRelocation): string {
    if (this.symbols === undefined || relocation.symbol === 0 || relocation.symbol >= this.symbols.count)
      return "";
    return this.symbols.name(relocation.symbol);
  }

  /**
   * Slots of this image that hold, at run time, what one of its own IFUNC resolvers selected:
   * R_X86_64_IRELATIVE of that resolver, and slots bound by name to the symbol defined here.
   * Read a slot in the target once the dynamic linker is done with the image. A slot bound by name
   * may hold another library's function of that name (interposition), and, where binding is lazy,
   * the image's own PLT until the first call: take values that lie in the text of the image that
   * defines the IFUNC, outside of its PLT.
   */
  slotsOfResolver(resolver: Vaddr): Vaddr[] {
    const slots: Vaddr[] = [];
    for (const relocation of this) {
      if (relocation.type === RELOCATION.irelative) {
        if (relocation.addend === resolver) slots.push(relocation.slot);
      } else if (bindsByName(relocation.type) && this.isDefinedAt(relocation.symbol, resolver)) {
        slots.push(relocation.slot);
      }
    }
    return slots;
  }

  /** Slots of this image that are bound to a symbol of one of these names, wherever it is defined. See {@link slotsOfResolver}. */
  slotsOfSymbol(names: readonly string[]): Vaddr[] {
    const wanted = new Set(names);
    const slots: Vaddr[] = [];
    for (const relocation of this) {
      if (!bindsByName(relocation.type)) continue;
      if (wanted.has(this.symbolName(relocation))) slots.push(relocation.slot);
    }
    return slots;
  }

  /** What the dynamic linker puts into slots whose value depends on this image alone: slot → vaddr. */
  ownValues(): ReadonlyMap<Vaddr, Vaddr> {
    const values = new Map<Vaddr, Vaddr>();
    for (const relocation of this) {
      if (relocation.type === RELOCATION.relative) {
        values.set(relocation.slot, relocation.addend as Vaddr);
      } else if (relocation.type === RELOCATION.absolute64 && this.defines(relocation.symbol)) {
        values.set(
          relocation.slot,
          ((this.symbols?.vaddr(relocation.symbol) ?? 0) + relocation.addend) as Vaddr,
        );
      }
    }
    return values;
  }

  private defines(symbol: number): boolean {
    return (
      this.symbols !== undefined && symbol !== 0 && symbol < this.symbols.count && this.symbols.placed(symbol)
    );
  }

  private isDefinedAt(symbol: number, vaddr: Vaddr): boolean {
    return this.defines(symbol) && this.symbols?.vaddr(symbol) === vaddr;
  }
}

/** By section or, where section headers were stripped, by DT_RELA and DT_JMPREL. */
export function readRelocations(
  file: ElfFile,
  dynamic: DynamicSegment,
  symbols: SymbolTable | undefined,
): RelocationTable {
  const sections = file.header.sections.filter((one) => one.type === SECTION.rela && one.allocated);
  const pieces = file.tolerate([], () =>
    sections.length > 0
      ? sections.map((section) => file.sectionContents(section))
      : dynamic.relocations.map(({ vaddr, size }) => file.contentsAt("DT_RELA", vaddr, size)),
  );
  return new RelocationTable(
    pieces.filter((piece) => piece !== undefined),
    symbols,
  );
}

function bindsByName(type: number): boolean {
  return type === RELOCATION.jumpSlot || type === RELOCATION.globDat || type === RELOCATION.absolute64;
}
