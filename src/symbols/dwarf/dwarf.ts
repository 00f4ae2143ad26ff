import type { ElfImage } from "../elf/image.js";
import type { LocalVariable } from "../types/location.js";
import type { FunctionType, Type } from "../types/type.js";
import type { Vaddr, VaddrRange } from "../vaddr.js";
import { CallFrames } from "./call-frames.js";
import { Entries, type Entry } from "./entries.js";
import { ASSEMBLER, ATTRIBUTE, TAG, UNIT } from "./facts.js";
import { NameIndex } from "./names.js";
import { AddressTable, rangesOf } from "./ranges.js";
import { type CallFrameAt, contextOf, placeOf, variablesAt } from "./scopes.js";
import { DwarfSections } from "./sections.js";
import { DwarfTypes } from "./types.js";
import type { UnitHeader } from "./units.js";

/** A variable with static storage. */
export interface DwarfVariable {
  /** Undefined where it is only declared: a linker, or assembly, made it. */
  readonly vaddr: Vaddr | undefined;
  readonly type: Type;
}

/**
 * What the debug information of an ELF file says (DWARF 2 to 5, x86-64): types, prototypes, variables, and
 * where the variables of functions are at each place of their code. Nothing is read when it is opened; the
 * first question by name passes all of `.debug_info` once, one about a place reads the unit that it is in.
 *
 * Whatever a file contains, methods return or throw a TargetError that says where the damage is. Not read:
 * split debug information (`.dwo`), supplementary files (dwz), C++ and Rust beyond what C has.
 */
export class Dwarf {
  readonly types: DwarfTypes;
  private readonly entries: Entries;
  private namesKept: NameIndex | undefined;
  private unitsKept: AddressTable | undefined;
  private framesKept: { readonly frames: readonly CallFrames[] } | undefined;
  private readonly functionsKept = new Map<UnitHeader, UnitTop>();

  private constructor(
    private readonly elf: ElfImage,
    sections: DwarfSections,
  ) {
    this.entries = new Entries(sections);
    this.types = new DwarfTypes(this.entries, () => this.names);
  }

  /** @returns undefined where the file has none @throws TargetError damaged */
  static of(elf: ElfImage): Dwarf | undefined {
    const sections = new DwarfSections(elf);
    return sections.find("info") === undefined ? undefined : new Dwarf(elf, sections);
  }

  /** Of the first function of that name that has code. */
  prototype(name: string): FunctionType | undefined {
    const offset = this.names.find("function", name);
    return offset === undefined ? undefined : this.types.prototype(this.entries.at(offset));
  }

  /** Of the function whose code an address is in; `name` is as in the source. */
  functionAt(vaddr: Vaddr): { readonly name: string; readonly prototype: FunctionType } | undefined {
    const entry = this.subprogramAt(vaddr);
    return entry && { name: this.entries.nameOf(entry), prototype: this.types.prototype(entry) };
  }

  /**
   * The first variable of that name that stands outside of functions.
   *
   * @param near a place of the code: of several of one name, that of its own file is meant
   */
  variable(name: string, near?: Vaddr): DwarfVariable | undefined {
    const unit = near === undefined ? undefined : this.unitAt(near);
    const own = unit && this.functionsOf(unit).variable(name);
    // One that was optimised out is not to be taken for another file's.
    if (own !== undefined) return this.placed(this.entries.at(own));
    const offset = this.names.find("variable", name);
    return offset === undefined ? undefined : this.placed(this.entries.at(offset));
  }

  /**
   * The variables that code has at a place, see {@link variablesAt}.
   *
   * @param callFrame asked first where frames begin; what it does not know `.debug_frame` or `.eh_frame` tells
   * @returns undefined where nothing is known of that place
   */
  variablesAt(vaddr: Vaddr, callFrame: CallFrameAt = () => undefined): readonly LocalVariable[] | undefined {
    const entry = this.subprogramAt(vaddr);
    return entry && variablesAt(this.types, entry, vaddr, (at) => callFrame(at) ?? this.callFrameAt(at));
  }

  private get names(): NameIndex {
    this.namesKept ??= new NameIndex(this.entries);
    return this.namesKept;
  }

  private subprogramAt(vaddr: Vaddr): Entry | undefined {
    const unit = this.unitAt(vaddr);
    const offset = unit && this.functionsOf(unit).at(vaddr);
    return offset === undefined ? undefined : this.entries.at(offset);
  }

  private unitAt(vaddr: Vaddr): UnitHeader | undefined {
    this.unitsKept ??= this.readUnitRanges();
    const offset = this.unitsKept.at(vaddr);
    return offset === undefined ? undefined : this.entries.units.headers[offset];
  }

  private readUnitRanges(): AddressTable {
    const owned: (VaddrRange & { readonly owner: number })[] = [];
    this.entries.units.headers.forEach((header, owner) => {
      if (header.kind !== UNIT.compile || header.entries >= header.end) return;
      const entry = this.entries.ofUnit(header);
      if (entry !== undefined && this.entries.number(entry, ATTRIBUTE.language) === ASSEMBLER) return;
      const ranges = entry === undefined ? undefined : rangesOf(this.entries, entry);
      for (const { start, end } of ranges ?? []) owned.push({ start, end, owner });
    });
    return new AddressTable(owned);
  }

  private functionsOf(unit: UnitHeader): UnitTop {
    const known = this.functionsKept.get(unit);
    if (known !== undefined) return known;
    const made = new UnitTop(this.entries, unit);
    this.functionsKept.set(unit, made);
    return made;
  }

  private placed(entry: Entry): DwarfVariable | undefined {
    const context = contextOf(this.entries, entry, 0 as Vaddr, () => undefined);
    const { location } = placeOf(this.entries, entry, 0 as Vaddr, context);
    const isInImage = location.kind === "memory" && location.address.kind === "image-address";
    const isDeclared = this.entries.flag(entry, ATTRIBUTE.declaration);
    if (!isInImage && !isDeclared) return undefined;
    return { vaddr: isInImage ? location.address.vaddr : undefined, type: this.types.typeOf(entry) };
  }

  private callFrameAt(vaddr: Vaddr): ReturnType<CallFrameAt> {
    this.framesKept ??= { frames: this.readFrames() };
    for (const frames of this.framesKept.frames) {
      const found = frames.at(vaddr);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private readFrames(): CallFrames[] {
    const { sections } = this.entries;
    const frames: CallFrames[] = [];
    const debug = sections.find("frame");
    if (debug !== undefined) frames.push(new CallFrames(() => debug.cursor(0), undefined));
    const loaded = sections.find(".eh_frame");
    const at = this.elf.sections.find(({ name }) => name === ".eh_frame")?.vaddr;
    if (loaded !== undefined && at !== undefined) frames.push(new CallFrames(() => loaded.cursor(0), at));
    return frames;
  }
}

/** What stands at the top of one unit: its functions by their code, its variables by their names. */
class UnitTop {
  private readonly ranges: AddressTable;
  private readonly named = new Map<string, number>();

  constructor(entries: Entries, unit: UnitHeader) {
    const owned: (VaddrRange & { readonly owner: number })[] = [];
    const top = entries.ofUnit(unit);
    for (const entry of top === undefined ? [] : entries.children(top)) {
      if (entry.tag === TAG.subprogram)
        for (const { start, end } of rangesOf(entries, entry) ?? [])
          owned.push({ start, end, owner: entry.offset });
      if (entry.tag === TAG.variable && !entries.flag(entry, ATTRIBUTE.declaration))
        this.enter(entries, entry);
    }
    this.ranges = new AddressTable(owned);
  }

  at(vaddr: Vaddr): number | undefined {
    return this.ranges.at(vaddr);
  }

  variable(name: string): number | undefined {
    return this.named.get(name);
  }

  private enter(entries: Entries, entry: Entry): void {
    const name = entries.nameOf(entry);
    // One that is declared first is there twice: the second says where it is.
    if (!this.named.has(name) || entry.attributes.has(ATTRIBUTE.location)) this.named.set(name, entry.offset);
  }
}
