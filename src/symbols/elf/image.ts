import { TargetError } from "../../base/errors.js";
import { compileGlob, type Glob } from "../glob.js";
import { mergeRanges, rangeAt, type LoadBias, type Vaddr, type VaddrRange } from "../vaddr.js";
import { findBuildId } from "./build-id.js";
import { crcOf, DEBUG_ROOTS, debugCandidates, type DebugCandidate, parseDebugLink } from "./debug-file.js";
import { type DynamicSegment, NO_DYNAMIC, parseDynamic } from "./dynamic.js";
import { FLAGS_1_PIE, RELOCATION, SECTION, SEGMENT } from "./facts.js";
import { Fields } from "./fields.js";
import { type FrameDescription, frameDescriptions, framesFromHeader } from "./frames.js";
import { FunctionIndex, type FunctionLocation } from "./functions.js";
import { type ElfHeader, type ElfSection, type ElfSegment, parseHeader } from "./header.js";
import { loadBiases, type MappedPiece } from "./load-bias.js";
import { findStubs, isPltSection, type PltStub, stubAt } from "./plt.js";
import { RelocationTable } from "./relocations.js";
import { DESCRIPTOR, DESCRIPTOR_SECTION, POINTER_SECTION, readSequences, type RestartableSequence } from "./rseq.js";
import { type ByteSource, bytesSource, type FileIdentity, openSource, sameFile } from "./source.js";
import { countByGnuHash, countByHash, type ElfSymbol, SymbolTable } from "./symbol-table.js";

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
  /** What could not be read although the file has it; grows as parts are first asked for. */
  readonly warnings: string[];
  private readonly dynamic: DynamicSegment;
  private functionIndex: FunctionIndex | undefined;
  private symbolTables: readonly SymbolTable[] | undefined;
  private dynamicTable: { readonly table: SymbolTable | undefined } | undefined;
  private relocationTable: RelocationTable | undefined;
  private debug: { readonly image: ElfImage | undefined } | undefined;
  private frames: readonly FrameDescription[] | undefined;
  private stubs: readonly PltStub[] | undefined;
  private codeRanges: readonly VaddrRange[] | undefined;
  private buildIdText: { readonly text: string | undefined } | undefined;

  private constructor(
    private readonly source: ByteSource,
    /** Which file this is, for caches; undefined for bytes in memory. */
    readonly identity: FileIdentity | undefined,
    private readonly header: ElfHeader,
    private readonly options: ElfImageOptions,
  ) {
    this.warnings = [...header.warnings];
    this.dynamic = this.tolerate(NO_DYNAMIC, () => this.readDynamic());
  }

  /**
   * @param path of a file, or a link to one such as `/proc/PID/exe`
   * @throws TargetError it cannot be opened; not ELF, 32-bit, of another machine, not a program or
   *   library, cut short
   */
  static open(path: string, options: ElfImageOptions = {}): ElfImage {
    const source = openSource(path);
    try {
      return new ElfImage(source, source.identity, parseHeader(source), options);
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
    const source = bytesSource(bytes, name);
    return new ElfImage(source, undefined, parseHeader(source), options);
  }

  /** As it was opened. */
  get path(): string {
    return this.source.name;
  }

  get type(): "EXEC" | "DYN" {
    return this.header.type;
  }

  get entry(): Vaddr {
    return this.header.entry;
  }

  get segments(): readonly ElfSegment[] {
    return this.header.segments;
  }

  get sections(): readonly ElfSection[] {
    return this.header.sections;
  }

  /** PT_INTERP: path of the dynamic linker. */
  get interpreter(): string | undefined {
    const segment = this.segmentOf(SEGMENT.interpreter);
    if (segment === undefined) return undefined;
    return this.tolerate(undefined, () => this.fieldsOf("PT_INTERP", segment.offset, segment.fileSize).string(0));
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
    return this.segmentOf(SEGMENT.interpreter) !== undefined && this.soname === undefined;
  }

  /** A program that runs without a dynamic linker, static PIEs included. */
  get isStatic(): boolean {
    return this.isProgram && this.segmentOf(SEGMENT.interpreter) === undefined && this.needed.length === 0;
  }

  /** In hexadecimal. */
  get buildId(): string | undefined {
    this.buildIdText ??= { text: this.tolerate(undefined, () => this.readBuildId()) };
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
    return mergeRanges(this.pltSections().map(rangeOf));
  }

  /** Objects that stand among instructions (tables of hand-written assembly), where symbols tell. */
  dataInCode(): VaddrRange[] {
    const ranges: VaddrRange[] = [];
    for (const symbol of this.symbols()) {
      if (symbol.type !== "object" || !symbol.placed || symbol.size === 0) continue;
      const section = rangeAt(this.code, symbol.vaddr);
      if (section === undefined) continue;
      ranges.push({ start: symbol.vaddr, end: Math.min(symbol.vaddr + symbol.size, section.end) as Vaddr });
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
      if (stub !== undefined) return { name: `${stub.name}@plt`, offset: vaddr - stub.vaddr, location: undefined };
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
    const frame = this.frameAt(vaddr);
    // One frame description covers a whole PLT, or several labels: the nearer start is the better one.
    if (frame !== undefined && (location === undefined || frame.start >= location.vaddr)) {
      return { start: frame.start, end: (frame.start + frame.length) as Vaddr };
    }
    return location && { start: location.vaddr, end: location.end };
  }

  /** Starts and lengths of functions as the unwinder knows them, in order: helps where symbols were stripped. */
  frameDescriptions(): readonly FrameDescription[] {
    this.frames ??= this.tolerate([], () => this.readFrames());
    return this.frames;
  }

  /** Stubs of the PLT, in order. */
  pltStubs(): readonly PltStub[] {
    this.stubs ??= this.tolerate([], () => this.readStubs());
    return this.stubs;
  }

  /** Dynamic relocations. */
  get relocations(): RelocationTable {
    this.relocationTable ??= new RelocationTable(
      this.tolerate([], () => this.readRelocations()),
      this.dynamicSymbols(),
    );
    return this.relocationTable;
  }

  /**
   * Restartable sequences, in order of start. They are found by section name: an image whose
   * section headers were stripped shows none.
   */
  restartableSequences(): RestartableSequence[] {
    return this.tolerate([], () => this.readSequences());
  }

  /** Where in the file the byte of an address is; undefined where no segment loads it from the file. */
  fileOffset(vaddr: Vaddr): number | undefined {
    const segment = this.segments.find(
      (one) => one.type === SEGMENT.load && vaddr >= one.vaddr && vaddr < one.vaddr + one.fileSize,
    );
    return segment && vaddr - segment.vaddr + segment.offset;
  }

  /** The address of a byte of the file; in text, where more than one segment has it. */
  vaddrAt(fileOffset: number): Vaddr | undefined {
    const segments = this.segments.filter(
      (one) => one.type === SEGMENT.load && fileOffset >= one.offset && fileOffset < one.offset + one.fileSize,
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
    return this.fieldsAt("a segment", vaddr, length)?.bytes ?? new Uint8Array(0);
  }

  /**
   * Where this image is loaded in an address space.
   *
   * @param mappings all of the space
   * @param path     as the mappings show it; the path of this image unless told
   * @returns undefined where it is not mapped
   */
  loadBias(mappings: readonly MappedPiece[], path: string = this.path): LoadBias | undefined {
    return this.loadBiases(mappings, path)[0];
  }

  /** As {@link loadBias}, once for each time that it is mapped: dlmopen can load a library twice. */
  loadBiases(mappings: readonly MappedPiece[], path: string = this.path): LoadBias[] {
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
    if (section.type === SECTION.noBits) return undefined;
    return this.fieldsOf(section.name, section.offset, section.size);
  }

  [Symbol.dispose](): void {
    this.source.close();
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
    const own = this.readSectionSymbols(SECTION.symbols, "symtab");
    const debug = own === undefined ? this.debugFile()?.readSectionSymbols(SECTION.symbols, "debug-file") : undefined;
    return [own, debug, this.dynamicSymbols()].filter((table) => table !== undefined);
  }

  private dynamicSymbols(): SymbolTable | undefined {
    this.dynamicTable ??= {
      table:
        this.readSectionSymbols(SECTION.dynamicSymbols, "dynsym") ??
        this.tolerate(undefined, () => this.readSegmentSymbols()),
    };
    return this.dynamicTable.table;
  }

  private readSectionSymbols(type: number, origin: "symtab" | "dynsym" | "debug-file"): SymbolTable | undefined {
    return this.tolerate(undefined, () => {
      const section = this.sections.find((one) => one.type === type);
      const strings = section && this.sections[section.link];
      const symbolBytes = section && this.contents(section);
      const stringBytes = strings && this.contents(strings);
      if (symbolBytes === undefined || stringBytes === undefined) return undefined;
      return new SymbolTable(symbolBytes, stringBytes, origin);
    });
  }

  private readSegmentSymbols(): SymbolTable | undefined {
    const { symbols, strings, stringsSize, hash, gnuHash } = this.dynamic;
    if (symbols === undefined || strings === undefined) return undefined;
    const hashBytes = hash === undefined ? undefined : this.fieldsAt("DT_HASH", hash, Infinity);
    const gnuBytes = gnuHash === undefined ? undefined : this.fieldsAt("DT_GNU_HASH", gnuHash, Infinity);
    const count = hashBytes ? countByHash(hashBytes) : gnuBytes ? countByGnuHash(gnuBytes) : 0;
    const symbolBytes = this.fieldsAt("DT_SYMTAB", symbols, count * 24);
    const stringBytes = this.fieldsAt("DT_STRTAB", strings, stringsSize);
    if (symbolBytes === undefined || stringBytes === undefined) return undefined;
    return new SymbolTable(symbolBytes, stringBytes, "dynsym");
  }

  private readDynamic(): DynamicSegment {
    const segment = this.segmentOf(SEGMENT.dynamic);
    if (segment === undefined) return NO_DYNAMIC;
    const table = this.fieldsOf("PT_DYNAMIC", segment.offset, segment.fileSize);
    return parseDynamic(table, segment.vaddr, (vaddr, size) => this.fieldsAt("DT_STRTAB", vaddr, size));
  }

  private readBuildId(): string | undefined {
    for (const note of [
      ...this.sections.filter((section) => section.type === SECTION.note),
      ...this.segments.filter((segment) => segment.type === SEGMENT.note),
    ]) {
      const size = "size" in note ? note.size : note.fileSize;
      const id = findBuildId(this.fieldsOf("a note", note.offset, size));
      if (id !== undefined) return id;
    }
    return undefined;
  }

  private readCodeRanges(): VaddrRange[] {
    const segments = this.segments
      .filter((one) => one.type === SEGMENT.load && one.executable)
      .map((one) => ({ start: one.vaddr, end: (one.vaddr + one.memorySize) as Vaddr }));
    const sections = this.sections
      .filter((one) => one.allocated && one.executable && one.size > 0)
      .map(rangeOf)
      .filter((range) => segments.some((one) => range.start >= one.start && range.end <= one.end));
    return mergeRanges(sections.length > 0 ? sections : segments);
  }

  private readRelocations(): Fields[] {
    const sections = this.sections.filter((one) => one.type === SECTION.rela && one.allocated);
    const pieces =
      sections.length > 0
        ? sections.map((section) => this.contents(section))
        : this.dynamic.relocations.map(({ vaddr, size }) => this.fieldsAt("DT_RELA", vaddr, size));
    return pieces.filter((piece) => piece !== undefined);
  }

  private readFrames(): FrameDescription[] {
    const section = this.sections.find((one) => one.name === ".eh_frame");
    const contents = section && this.contents(section);
    if (section !== undefined && contents !== undefined) return frameDescriptions(contents, section.vaddr);
    const segment = this.segmentOf(SEGMENT.ehFrame);
    if (segment === undefined) return [];
    const header = this.fieldsOf(".eh_frame_hdr", segment.offset, segment.fileSize);
    const start = framesFromHeader(header, segment.vaddr);
    const frames = start === undefined ? undefined : this.fieldsAt(".eh_frame", start, Infinity);
    return start === undefined || frames === undefined ? [] : frameDescriptions(frames, start);
  }

  private frameAt(vaddr: Vaddr): FrameDescription | undefined {
    const frames = this.frameDescriptions();
    let low = 0;
    let high = frames.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((frames[middle]?.start ?? Infinity) <= vaddr) low = middle + 1;
      else high = middle;
    }
    const frame = frames[low - 1];
    return frame !== undefined && vaddr < frame.start + frame.length ? frame : undefined;
  }

  private readStubs(): PltStub[] {
    const sections = this.pltSections();
    if (sections.length === 0) return [];
    const names = new Map<Vaddr, string>();
    for (const relocation of this.relocations) {
      const name =
        relocation.type === RELOCATION.irelative
          ? this.index().at(relocation.addend as Vaddr)?.name
          : this.relocations.symbolName(relocation);
      if (name !== undefined && name !== "") names.set(relocation.slot, name);
    }
    const stubs = sections.flatMap((section) => {
      const contents = this.contents(section);
      return contents === undefined ? [] : findStubs(contents, section.vaddr, (slot) => names.get(slot));
    });
    return stubs.sort((one, other) => one.vaddr - other.vaddr);
  }

  private pltSections(): ElfSection[] {
    return this.sections.filter((one) => one.allocated && one.executable && isPltSection(one.name));
  }

  private readSequences(): RestartableSequence[] {
    const descriptors = this.sections.filter((one) => one.allocated && one.name === DESCRIPTOR_SECTION);
    const pointers = this.sections.filter((one) => one.allocated && one.name === POINTER_SECTION);
    if (descriptors.length === 0 && pointers.length === 0) return [];
    const relocated = this.relocations.ownValues();
    const inFile = (slot: Vaddr) => this.fieldsAt("a slot", slot, 8);
    const pointerAt = (slot: Vaddr) => relocated.get(slot) ?? inFile(slot)?.vaddr(0);
    const starts: Vaddr[] = [];
    for (const section of descriptors) {
      const count = this.contents(section)?.length ?? 0;
      for (let at = 0; at + DESCRIPTOR.size <= count; at += DESCRIPTOR.size) starts.push((section.vaddr + at) as Vaddr);
    }
    for (const section of pointers) {
      const count = this.contents(section)?.length ?? 0;
      for (let at = 0; at + 8 <= count; at += 8) starts.push(pointerAt((section.vaddr + at) as Vaddr) ?? (0 as Vaddr));
    }
    return readSequences(starts, pointerAt, (slot) => inFile(slot)?.u64(0));
  }

  private findDebugFile(): ElfImage | undefined {
    const section = this.sections.find((one) => one.name === ".gnu_debuglink");
    const contents = this.tolerate(undefined, () => section && this.contents(section));
    const link = contents && parseDebugLink(contents);
    const roots = this.options.debugRoots ?? DEBUG_ROOTS;
    for (const candidate of debugCandidates(this.path, this.buildId, link, roots)) {
      const image = this.tolerate(undefined, () => this.openDebugFile(candidate));
      if (image !== undefined) return image;
    }
    return undefined;
  }

  private openDebugFile(candidate: DebugCandidate): ElfImage | undefined {
    // No roots: a debug file has no debug file of its own.
    const image = ElfImage.open(candidate.path, { debugRoots: [] });
    try {
      const itself = image.identity !== undefined && this.identity !== undefined && sameFile(image.identity, this.identity);
      if (!itself && this.belongs(image, candidate)) return image;
      if (!itself) this.warnings.push(`${candidate.path} is the debug file of another build of ${this.path}: not used`);
    } catch (cause) {
      image[Symbol.dispose]();
      throw cause;
    }
    image[Symbol.dispose]();
    return undefined;
  }

  private belongs(image: ElfImage, candidate: DebugCandidate): boolean {
    if (this.buildId !== undefined && image.buildId !== undefined) return this.buildId === image.buildId;
    return candidate.proof === "crc" && crcOf(image.source) === candidate.crc;
  }

  private segmentOf(type: number): ElfSegment | undefined {
    return this.segments.find((segment) => segment.type === type);
  }

  private fieldsOf(what: string, offset: number, length: number): Fields {
    return new Fields(this.source.read(offset, length), `${this.path}, ${what}`);
  }

  /** As many bytes from an address on as its segment has in the file, at most `length`. */
  private fieldsAt(what: string, vaddr: Vaddr, length: number): Fields | undefined {
    const segment = this.segments.find(
      (one) => one.type === SEGMENT.load && vaddr >= one.vaddr && vaddr < one.vaddr + one.fileSize,
    );
    if (segment === undefined) return undefined;
    const skip = vaddr - segment.vaddr;
    return this.fieldsOf(what, segment.offset + skip, Math.min(length, segment.fileSize - skip));
  }

  /** A part of a file that is damaged is as if it were not there; `warnings` says which. */
  private tolerate<Part>(otherwise: Part, read: () => Part): Part {
    try {
      return read();
    } catch (cause) {
      if (!(cause instanceof TargetError)) throw cause;
      this.warnings.push(cause.message);
      return otherwise;
    }
  }
}

function rangeOf(section: ElfSection): VaddrRange {
  return { start: section.vaddr, end: (section.vaddr + section.size) as Vaddr };
}
