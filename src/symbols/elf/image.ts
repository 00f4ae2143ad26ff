import { compileGlob, type Glob } from "../glob.js";
import { mergeRanges, rangeAt, type LoadBias, type Vaddr, type VaddrRange } from "../vaddr.js";
import { readBuildId } from "./build-id.js";
import { crcOf, DEBUG_ROOTS, debugCandidates, type DebugCandidate, parseDebugLink } from "./debug-file.js";
import { type DynamicSegment, readDynamic } from "./dynamic.js";
import { FLAGS_1_PIE, SEGMENT, SYMBOL_TYPE } from "./facts.js";
import { codePointers } from "./code-pointers.js";
import { type Fields } from "./fields.js";
import { ElfFile } from "./file.js";
import { frameAt, type FrameDescription, readFrames } from "./frames.js";
import { FunctionIndex, type FunctionLocation } from "./functions.js";
import { type ElfSection, type ElfSegment } from "./header.js";
import { type LandingPads, readLandingPads } from "./landing-pads.js";
import { loadBiases, type MappedPiece } from "./load-bias.js";
import { pltSections, type PltStub, readStubs, stubAt } from "./plt.js";
import { readRelocations, type RelocationTable } from "./relocations.js";
import { readSequences, type RestartableSequence } from "./rseq.js";
import { bytesSource, type FileIdentity, openSource, realPathOf, sameFile } from "./source.js";
import { dynamicSymbols, fullSymbols } from "./symbol-sources.js";
import type { ElfSymbol, SymbolTable } from "./symbol-table.js";

export interface ElfImageOptions {
  /** Folders with separate debug files; {@link DEBUG_ROOTS} unless told. Empty: next to the image only. */
  readonly debugRoots?: readonly string[];
}

/** A name for an address. */
export interface SymbolAt {
  /** Of a stub of the PLT: `puts@plt`. */
  readonly name: string;
  /** Bytes from the start of what is named. */
  readonly offset: number;
  /** Absent where the name is that of a PLT stub. */
  readonly location: FunctionLocation | undefined;
}

/**
 * An x86-64 ELF file: a program, a library, a vDSO, a kernel. Headers are read when it is opened,
 * everything else when it is first asked for, and kept. Addresses are those of the file
 * ({@link Vaddr}); {@link loadBias} leads to those of a target.
 *
 * Symbols come from `.symtab`, `.dynsym` (or DT_SYMTAB, where section headers were stripped) and,
 * for an image without `.symtab`, from its separate debug file. Not read: `.gnu_debugdata` (the
 * xz-compressed table that some distributions add) and compressed sections.
 *
 * Whatever a file contains, methods return or throw a {@link TargetError}; a part that makes no
 * sense is left out and said in {@link warnings}. None allocates more than a few times the size of
 * the file. Dispose it to close the file.
 */
export class ElfImage implements Disposable {
  private readonly dynamic: DynamicSegment;
  private functionIndex: FunctionIndex | undefined;
  private symbolTables: readonly SymbolTable[] | undefined;
  private dynamicTableKept: { readonly table: SymbolTable | undefined } | undefined;
  private relocationTable: RelocationTable | undefined;
  private debug: { readonly image: ElfImage | undefined } | undefined;
  private frames: readonly FrameDescription[] | undefined;
  private stubs: readonly PltStub[] | undefined;
  private codeRanges: readonly VaddrRange[] | undefined;
  private buildIdText: { readonly text: string | undefined } | undefined;

  private constructor(
    private readonly file: ElfFile,
    /** Which file this is, for caches; undefined for bytes in memory. */
    readonly identity: FileIdentity | undefined,
    /** With symbolic links resolved, as mappings show it; the name of bytes in memory. */
    readonly realPath: string,
    private readonly options: ElfImageOptions,
  ) {
    this.dynamic = readDynamic(file);
  }

  /**
   * @param path of a file, or a link to one such as `/proc/PID/exe`
   * @throws TargetError it cannot be opened; not ELF, 32-bit, of another machine, not a program or
   *   library, cut short
   */
  static open(path: string, options: ElfImageOptions = {}): ElfImage {
    const source = openSource(path);
    try {
      return new ElfImage(new ElfFile(source), source.identity, realPathOf(path), options);
    } catch (cause) {
      source.close();
      throw cause;
    }
  }

  /**
   * @param bytes not copied
   * @param name  for error messages: `[vdso]`
   * @throws TargetError as {@link open}
   */
  static fromBytes(bytes: Uint8Array, name: string, options: ElfImageOptions = {}): ElfImage {
    return new ElfImage(new ElfFile(bytesSource(bytes, name)), undefined, name, options);
  }

  /** As it was opened. */
  get path(): string {
    return this.file.source.name;
  }

  /** What could not be read although the file has it; grows as parts are first asked for. */
  get warnings(): string[] {
    return this.file.warnings;
  }

  get type(): "EXEC" | "DYN" {
    return this.file.header.type;
  }

  get entry(): Vaddr {
    return this.file.header.entry;
  }

  get segments(): readonly ElfSegment[] {
    return this.file.header.segments;
  }

  get sections(): readonly ElfSection[] {
    return this.file.header.sections;
  }

  /** PT_INTERP: path of the dynamic linker. */
  get interpreter(): string | undefined {
    return this.file.tolerate(undefined, () =>
      this.file.segmentContents(SEGMENT.interpreter, "PT_INTERP")?.string(0),
    );
  }

  /** DT_NEEDED, in order. */
  get needed(): readonly string[] {
    return this.dynamic.needed;
  }

  /** DT_SONAME. */
  get soname(): string | undefined {
    return this.dynamic.soname;
  }

  /** DT_RUNPATH, else DT_RPATH; `$ORIGIN` not expanded. */
  get runPath(): readonly string[] {
    return this.dynamic.runPath;
  }

  /** Where, at run time, a pointer to the dynamic linker's `struct r_debug` stands (DT_DEBUG). */
  get debugSlot(): Vaddr | undefined {
    return this.dynamic.debugSlot;
  }

  /** A program, not a library. The dynamic linker is a library that can also be run; it counts as one. */
  get isProgram(): boolean {
    if (this.type === "EXEC" || (this.dynamic.flags1 & FLAGS_1_PIE) !== 0) return true;
    return this.file.segment(SEGMENT.interpreter) !== undefined && this.soname === undefined;
  }

  /** A program that runs without a dynamic linker, static PIEs included. */
  get isStatic(): boolean {
    return this.isProgram && this.file.segment(SEGMENT.interpreter) === undefined && this.needed.length === 0;
  }

  /** In hexadecimal. */
  get buildId(): string | undefined {
    this.buildIdText ??= { text: this.file.tolerate(undefined, () => readBuildId(this.file)) };
    return this.buildIdText.text;
  }

  /**
   * Ranges that hold instructions, in order: executable sections, PLTs included, or, where there
   * are no section headers, executable segments. Sections hold some data too: see {@link dataInCode}.
   */
  get code(): readonly VaddrRange[] {
    this.codeRanges ??= this.readCodeRanges();
    return this.codeRanges;
  }

  isCode(vaddr: Vaddr): boolean {
    return rangeAt(this.code, vaddr) !== undefined;
  }

  /** Procedure linkage tables, in order. */
  get pltRanges(): readonly VaddrRange[] {
    return mergeRanges(pltSections(this.file).map(rangeOf));
  }

  /** Objects that stand among instructions (tables of hand-written assembly), where symbols tell. */
  dataInCode(): VaddrRange[] {
    const ranges: VaddrRange[] = [];
    for (const table of this.tables()) {
      for (let index = 1; index < table.count; index += 1) {
        if (table.type(index) !== SYMBOL_TYPE.object || !table.placed(index) || table.size(index) === 0)
          continue;
        const start = table.vaddr(index);
        const section = rangeAt(this.code, start);
        if (section === undefined) continue;
        ranges.push({ start, end: Math.min(start + table.size(index), section.end) as Vaddr });
      }
    }
    return mergeRanges(ranges);
  }

  /** All symbols, table by table; a large image has hundreds of thousands. */
  *symbols(): Generator<ElfSymbol> {
    for (const table of this.tables()) {
      for (let index = 1; index < table.count; index += 1) yield table.symbol(index);
    }
  }

  /** Symbols of any type with this name, undefined ones too. */
  symbolsNamed(name: string): ElfSymbol[] {
    const wanted = Buffer.from(name);
    const found: ElfSymbol[] = [];
    for (const table of this.tables()) {
      for (let index = 1; index < table.count; index += 1) {
        if (table.nameEquals(index, wanted)) found.push(table.symbol(index));
      }
    }
    return found;
  }

  /**
   * Functions that a pattern of SystemTap's names, in order of address, aliases at one address as
   * one. `*`, `?` and `[…]` match functions and IFUNCs; a name without them also finds assembler
   * labels and `.cold` fragments. An IFUNC's location is its resolver: {@link relocations} tells
   * where the implementation that it selected can be read.
   */
  functions(pattern: string | Glob): readonly FunctionLocation[] {
    return this.index().find(typeof pattern === "string" ? compileGlob(pattern) : pattern);
  }

  /** The function, label or PLT stub that an address belongs to. */
  symbolAt(vaddr: Vaddr): SymbolAt | undefined {
    const location = this.index().at(vaddr);
    // An unsized label in front of a PLT (_init's end, say) must not take its stubs' names.
    if (location?.sized !== true) {
      const stub = stubAt(this.pltStubs(), vaddr);
      if (stub !== undefined)
        return { name: `${stub.name}@plt`, offset: vaddr - stub.vaddr, location: undefined };
    }
    return location && { name: location.name, offset: vaddr - location.vaddr, location };
  }

  /**
   * The extent of the function that an address belongs to: as its symbol states it, else its frame
   * description, else up to the next symbol.
   */
  functionBounds(vaddr: Vaddr): VaddrRange | undefined {
    const location = this.index().at(vaddr);
    if (location?.sized === true) return { start: location.vaddr, end: location.end };
    const frame = frameAt(this.frameDescriptions(), vaddr);
    // One frame description covers a whole PLT, or several labels: the nearer start is the better one.
    if (frame !== undefined && (location === undefined || frame.start >= location.vaddr)) {
      return { start: frame.start, end: (frame.start + frame.length) as Vaddr };
    }
    return location && { start: location.vaddr, end: location.end };
  }

  /** Starts and lengths of functions as the unwinder knows them, in order: helps where symbols were stripped. */
  frameDescriptions(): readonly FrameDescription[] {
    this.frames ??= this.file.tolerate([], () => readFrames(this.file));
    return this.frames;
  }

  /**
   * Where data says that code can be entered; may name a place more than once.
   *
   * @throws TargetError the file is cut short: nothing is known then
   */
  codePointers(): Vaddr[] {
    return [...codePointers(this.file, this.relocations, this.code)];
  }

  /** Where the unwinder enters functions, for C++'s exceptions and their like. @throws TargetError cut short */
  landingPads(): LandingPads {
    return readLandingPads(this.file, this.frameDescriptions());
  }

  /** Stubs of the PLT, in order. */
  pltStubs(): readonly PltStub[] {
    this.stubs ??= this.file.tolerate([], () =>
      readStubs(this.file, this.relocations, (vaddr) => this.index().at(vaddr)?.name),
    );
    return this.stubs;
  }

  /** Dynamic relocations. */
  get relocations(): RelocationTable {
    this.relocationTable ??= readRelocations(this.file, this.dynamic, this.dynamicTable());
    return this.relocationTable;
  }

  /**
   * Restartable sequences, in order of start. They are found by section name: an image whose
   * section headers were stripped shows none.
   */
  restartableSequences(): RestartableSequence[] {
    return this.file.tolerate([], () => readSequences(this.file, () => this.relocations.ownValues()));
  }

  /** Where in the file the byte of an address is; undefined where no segment loads it from the file. */
  fileOffset(vaddr: Vaddr): number | undefined {
    const segment = this.file.loadedSegment(vaddr);
    return segment && vaddr - segment.vaddr + segment.offset;
  }

  /** The address of a byte of the file; in text, where more than one segment has it. */
  vaddrAt(fileOffset: number): Vaddr | undefined {
    const segments = this.segments.filter(
      (one) =>
        one.type === SEGMENT.load && fileOffset >= one.offset && fileOffset < one.offset + one.fileSize,
    );
    const segment = segments.find((one) => one.executable) ?? segments[0];
    return segment && ((fileOffset - segment.offset + segment.vaddr) as Vaddr);
  }

  /**
   * Bytes as the file has them, before any relocation; fewer than asked for at the end of a
   * segment, none where nothing is loaded from the file.
   *
   * @throws TargetError the file is cut short there
   */
  bytesAt(vaddr: Vaddr, length: number): Uint8Array {
    return this.file.bytesAt(vaddr, length) ?? new Uint8Array(0);
  }

  /**
   * Where this image is loaded in an address space.
   *
   * @param mappings all of the space
   * @param path     as the mappings show it; {@link realPath} unless told: tell it where the target
   *   has another view of the file system
   * @returns undefined where it is not mapped
   */
  loadBias(mappings: readonly MappedPiece[], path: string = this.realPath): LoadBias | undefined {
    return this.loadBiases(mappings, path)[0];
  }

  /** As {@link loadBias}, once for each time that it is mapped: dlmopen can load a library twice. */
  loadBiases(mappings: readonly MappedPiece[], path: string = this.realPath): LoadBias[] {
    const own = mappings.filter((mapping) => mapping.path === path);
    return loadBiases(this.type, this.segments, own);
  }

  /**
   * The separate debug file, if it is installed: by build-id, else by `.gnu_debuglink` with the
   * right checksum. Disposed together with this image.
   */
  debugFile(): ElfImage | undefined {
    this.debug ??= { image: this.findDebugFile() };
    return this.debug.image;
  }

  /** Contents of a section; undefined where it has none in the file (SHT_NOBITS). @throws TargetError cut short */
  contents(section: ElfSection): Fields | undefined {
    return this.file.sectionContents(section);
  }

  /** Bytes of the file itself, as often as one likes: for pieces of large sections. @throws TargetError cut short */
  fileBytes(offset: number, length: number): Buffer {
    return this.file.source.read(offset, length);
  }

  [Symbol.dispose](): void {
    this.file.source.close();
    this.debug?.image?.[Symbol.dispose]();
  }

  private index(): FunctionIndex {
    this.functionIndex ??= new FunctionIndex(this.tables(), this.code);
    return this.functionIndex;
  }

  private tables(): readonly SymbolTable[] {
    this.symbolTables ??= this.readTables();
    return this.symbolTables;
  }

  private readTables(): SymbolTable[] {
    const own = fullSymbols(this.file, "symtab");
    const debugFile = own === undefined ? this.debugFile() : undefined;
    const debug = debugFile && fullSymbols(debugFile.file, "debug-file");
    return [own, debug, this.dynamicTable()].filter((table) => table !== undefined);
  }

  private dynamicTable(): SymbolTable | undefined {
    this.dynamicTableKept ??= { table: dynamicSymbols(this.file, this.dynamic) };
    return this.dynamicTableKept.table;
  }

  private readCodeRanges(): VaddrRange[] {
    const segments = mergeRanges(
      this.segments
        .filter((one) => one.type === SEGMENT.load && one.executable)
        .map((one) => ({ start: one.vaddr, end: (one.vaddr + one.memorySize) as Vaddr })),
    );
    const sections = this.sections
      .filter((one) => one.allocated && one.executable && one.size > 0)
      .map(rangeOf)
      .filter((range) => range.end <= (rangeAt(segments, range.start)?.end ?? -Infinity));
    return sections.length > 0 ? mergeRanges(sections) : segments;
  }

  private findDebugFile(): ElfImage | undefined {
    const section = this.file.section(".gnu_debuglink");
    const contents = this.file.tolerate(undefined, () => section && this.file.sectionContents(section));
    const link = contents && parseDebugLink(contents);
    const roots = this.options.debugRoots ?? DEBUG_ROOTS;
    for (const candidate of debugCandidates(this.realPath, this.buildId, link, roots)) {
      const image = this.file.tolerate(undefined, () => this.openDebugFile(candidate));
      if (image !== undefined) return image;
    }
    return undefined;
  }

  private openDebugFile(candidate: DebugCandidate): ElfImage | undefined {
    // No roots: a debug file has no debug file of its own.
    const image = ElfImage.open(candidate.path, { debugRoots: [] });
    try {
      const itself =
        image.identity !== undefined &&
        this.identity !== undefined &&
        sameFile(image.identity, this.identity);
      if (!itself && this.belongs(image, candidate)) return image;
      if (!itself)
        this.warnings.push(`${candidate.path} is the debug file of another build of ${this.path}: not used`);
    } catch (cause) {
      image[Symbol.dispose]();
      throw cause;
    }
    image[Symbol.dispose]();
    return undefined;
  }

  private belongs(image: ElfImage, candidate: DebugCandidate): boolean {
    if (this.buildId !== undefined && image.buildId !== undefined) return this.buildId === image.buildId;
    return candidate.proof === "crc" && crcOf(image.file.source) === candidate.crc;
  }
}

function rangeOf(section: ElfSection): VaddrRange {
  return { start: section.vaddr, end: (section.vaddr + section.size) as Vaddr };
}
