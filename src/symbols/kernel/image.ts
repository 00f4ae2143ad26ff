import { TargetError } from "../../base/errors.js";
import type { RefusalReason } from "../../base/refusals.js";
import { BtfTypes } from "../btf/types.js";
import { ElfImage } from "../elf/image.js";
import { openSource } from "../elf/source.js";
import { compileGlob, type Glob } from "../glob.js";
import type { FunctionType, TypeNames } from "../types/type.js";
import { type MemberPlace, placeOf } from "../types/members.js";
import { rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import type { LocalVariable } from "../types/location.js";
import { callFrameBy } from "./call-frame.js";
import type { KernelCode, KernelVariable } from "./code.js";
import { KernelDebug } from "./debug-information.js";
import { ExceptionTable } from "./exception-table.js";
import { readExports } from "./exports.js";
import type { ForbiddenText } from "./forbidden.js";
import { FunctionNames, type KernelFunction } from "./functions.js";
import { forbiddenText } from "./image-forbidden.js";
import { OrcTable } from "./orc-table.js";
import { isBootImage, payloadOf } from "./payload/boot-image.js";
import { unpackPayload } from "./payload/unpack.js";
import { SECTION_MARKS } from "./section-marks.js";
import type { KernelSymbol, KernelSymbolAt, SymbolIndex } from "./symbol-index.js";
import { readSymbols } from "./symbols.js";

/** A boot image is read as a whole; larger ones are none. */
const MOST_BYTES = 2 ** 29;
const PER_CPU_SECTION = ".data..percpu";
const BANNER = /^Linux version (\S+) /;

/**
 * The image of an x86-64 Linux kernel, a bzImage or a vmlinux: all that can be known of a kernel without
 * asking a running one. Addresses are those of the image ({@link Vaddr}): a running kernel's differ by its
 * KASLR slide. Everything is read when it is first asked for, and kept.
 *
 * Whatever a file contains, methods return or throw a {@link TargetError}. Dispose it to close the file.
 */
export class KernelImage implements KernelCode, Disposable {
  private symbolsKept: SymbolIndex | undefined;
  private functionsKept: FunctionNames | undefined;
  private exportsKept: ReadonlySet<number> | undefined;
  private btfKept: { readonly types: BtfTypes | undefined } | undefined;
  private debugKept: { readonly debug: KernelDebug | undefined } | undefined;
  private bannerKept: string | undefined;
  private forbiddenKept: ForbiddenText | undefined;
  private exceptionsKept: ExceptionTable | undefined;
  private orcKept: { readonly table: OrcTable | undefined } | undefined;

  private constructor(
    /** As it was opened. */
    readonly path: string,
    /** The ELF file within it. */
    readonly elf: ElfImage,
  ) {}

  /**
   * @param path of a bzImage (`/boot/vmlinuz-…`) or a vmlinux
   * @throws TargetError it cannot be opened, is no kernel of x86-64, or is damaged
   */
  static open(path: string): KernelImage {
    const source = openSource(path);
    try {
      const head = source.read(0, Math.min(source.size, 4));
      if (head.length === 4 && head.readUInt32BE(0) === 0x7f454c46)
        return new KernelImage(path, ElfImage.open(path, { debugRoots: [] }));
      if (source.size > MOST_BYTES) throw notKernel(path);
      return KernelImage.fromBytes(source.read(0, source.size), path);
    } finally {
      source.close();
    }
  }

  /**
   * @param bytes not copied
   * @throws TargetError as {@link open}
   */
  static fromBytes(bytes: Buffer, name: string): KernelImage {
    const isElf = bytes.length >= 4 && bytes.readUInt32BE(0) === 0x7f454c46;
    if (!isElf && !isBootImage(bytes)) throw notKernel(name);
    const vmlinux = isElf ? bytes : unpackPayload(payloadOf(bytes, name), name);
    return new KernelImage(name, ElfImage.fromBytes(vmlinux, name, { debugRoots: [] }));
  }

  /** `linux_banner`: `Linux version 6.1.0-…`. @throws TargetError it has none */
  get banner(): string {
    this.bannerKept ??= this.readBanner();
    return this.bannerKept;
  }

  /** As `uname -r` says it. @throws TargetError as {@link banner} */
  get release(): string {
    return BANNER.exec(this.banner)?.[1] ?? "";
  }

  /** From `.BTF`, else from debug information. */
  get types(): TypeNames | undefined {
    return this.btf ?? this.debug?.dwarf.types;
  }

  /** Those of `.BTF`, as the basis for those of modules. */
  get btf(): BtfTypes | undefined {
    this.btfKept ??= { types: this.readTypes() };
    return this.btfKept.types;
  }

  /** Debug information (DWARF), which few kernels have: asked for what BTF does not tell. */
  private get debug(): KernelDebug | undefined {
    this.debugKept ??= { debug: KernelDebug.find(this.elf, this.path, this.knownRelease()) };
    return this.debugKept.debug;
  }

  prototype(name: string, vaddr?: Vaddr): FunctionType | undefined {
    const described = this.btf?.prototype(name);
    if (described !== undefined) return described;
    const { debug } = this;
    const there = vaddr === undefined ? undefined : debug?.dwarf.functionAt(vaddr);
    return there === undefined ? debug?.dwarf.prototype(name) : there.prototype;
  }

  variable(name: string, near?: Vaddr): KernelVariable | undefined {
    const described = this.btf?.variable(name);
    if (described !== undefined) {
      const perCpu = described.section === PER_CPU_SECTION;
      const vaddr = this.symbol(name) ?? (perCpu ? (described.offset as Vaddr) : undefined);
      return vaddr === undefined ? undefined : { vaddr, type: described.type, perCpu };
    }
    const { debug } = this;
    const found = debug?.dwarf.variable(name, near);
    const vaddr = found?.vaddr ?? (found && this.symbol(name));
    if (found === undefined || vaddr === undefined) return undefined;
    const { perCpu } = debug ?? {};
    const isOfEach = perCpu !== undefined && vaddr >= perCpu.start && vaddr < perCpu.end;
    return { vaddr, type: found.type, perCpu: isOfEach };
  }

  isInBtf(name: string): boolean {
    return this.btf?.prototype(name) !== undefined;
  }

  variablesAt(vaddr: Vaddr): readonly LocalVariable[] | undefined {
    return this.debug?.dwarf.variablesAt(vaddr, callFrameBy(this.unwind));
  }

  /** Where a member of a struct lies; undefined where it is not known. */
  placeOf(struct: string, path: string): MemberPlace | undefined {
    const { types } = this;
    return types && placeOf(types, struct, path);
  }

  /**
   * Byte offset of a member that we cannot do without: `offsetOf("task_struct", "pid")`.
   *
   * @throws TargetError no types, no such struct or member
   */
  offsetOf(struct: string, path: string): number {
    const { types } = this;
    if (types === undefined) {
      throw new TargetError(`${this.path} has no type information`, {
        remedy:
          "use a kernel that is built with CONFIG_DEBUG_INFO_BTF, or its vmlinux with debug information",
      });
    }
    const place = placeOf(types, struct, path);
    if (place === undefined) throw new TargetError(`${this.path} knows no ${path} of struct ${struct}`);
    return place.offset;
  }

  symbol(name: string): Vaddr | undefined {
    return this.index.find(name)?.vaddr;
  }

  symbolAt(vaddr: Vaddr): KernelSymbolAt | undefined {
    const end = this.endOfHolder(vaddr);
    return end === undefined ? undefined : this.index.at(vaddr, end);
  }

  symbols(): Iterable<KernelSymbol> {
    return this.index.all();
  }

  functions(pattern: string | Glob): readonly KernelFunction[] {
    this.functionsKept ??= new FunctionNames(this.index, this.text, () => this.exports);
    return this.functionsKept.find(typeof pattern === "string" ? compileGlob(pattern) : pattern);
  }

  /**
   * Bytes as the image has them; fewer than asked for at the end of a segment, none where the image has
   * none. A running kernel's text differs: it patches itself when it boots.
   */
  bytesAt(vaddr: Vaddr, length: number): Uint8Array {
    return this.elf.bytesAt(vaddr, length);
  }

  /** Where a section is, by its name or, where section headers were stripped, by the symbols around it. */
  section(name: string): VaddrRange | undefined {
    const section = this.elf.sections.find((one) => one.name === name);
    if (section !== undefined) return { start: section.vaddr, end: (section.vaddr + section.size) as Vaddr };
    const marks = SECTION_MARKS[name];
    return marks && this.between(marks[0], marks[1]);
  }

  get text(): readonly VaddrRange[] {
    return this.elf.code;
  }

  [Symbol.dispose](): void {
    this.debugKept?.debug?.[Symbol.dispose]();
    this.elf[Symbol.dispose]();
  }

  /** From one symbol to another; undefined where they are not there or nothing is between them. */
  between(first: string, behind: string): VaddrRange | undefined {
    const start = this.symbol(first);
    const end = this.symbol(behind);
    return start !== undefined && end !== undefined && start < end ? { start, end } : undefined;
  }

  forbidden(vaddr: Vaddr): RefusalReason | undefined {
    this.forbiddenKept ??= forbiddenText(this);
    return this.forbiddenKept.at(vaddr);
  }

  fixup(vaddr: Vaddr): Vaddr | undefined {
    this.exceptionsKept ??= this.readExceptions();
    return this.exceptionsKept.fixup(vaddr);
  }

  get unwind(): OrcTable | undefined {
    this.orcKept ??= { table: this.readOrc() };
    return this.orcKept.table;
  }

  private get index(): SymbolIndex {
    this.symbolsKept ??= readSymbols(this.elf);
    return this.symbolsKept;
  }

  private get exports(): ReadonlySet<number> {
    const tables = ["__ksymtab", "__ksymtab_gpl"].map((name) => this.section(name));
    this.exportsKept ??= readExports(
      tables.filter((table) => table !== undefined),
      (vaddr, length) => this.bytesAt(vaddr, length),
    );
    return this.exportsKept;
  }

  private endOfHolder(vaddr: Vaddr): Vaddr | undefined {
    const text = rangeAt(this.text, vaddr);
    if (text !== undefined) return text.end;
    const segment = this.elf.segments.find(
      (one) => one.memorySize > 0 && vaddr >= one.vaddr && vaddr < one.vaddr + one.memorySize,
    );
    return segment && ((segment.vaddr + segment.memorySize) as Vaddr);
  }

  private readExceptions(): ExceptionTable {
    const range = this.section("__ex_table");
    if (range === undefined) return new ExceptionTable(new Uint8Array(0), 0 as Vaddr);
    return new ExceptionTable(this.bytesAt(range.start, range.end - range.start), range.start);
  }

  private readOrc(): OrcTable | undefined {
    const starts = this.section(".orc_unwind_ip");
    const entries = this.section(".orc_unwind");
    if (starts === undefined || entries === undefined) return undefined;
    const bytesOf = (range: VaddrRange): Uint8Array => this.bytesAt(range.start, range.end - range.start);
    return new OrcTable(bytesOf(starts), starts.start, bytesOf(entries), this.text, this.path);
  }

  private readTypes(): BtfTypes | undefined {
    const range = this.section(".BTF");
    if (range === undefined) return undefined;
    return BtfTypes.parse(this.bytesAt(range.start, range.end - range.start), `${this.path}, .BTF`);
  }

  /** Of an image that says none, nothing can be found by it. */
  private knownRelease(): string | undefined {
    try {
      return this.release;
    } catch (error) {
      if (error instanceof TargetError) return undefined;
      throw error;
    }
  }

  private readBanner(): string {
    const at = this.symbol("linux_banner");
    const bytes = at === undefined ? undefined : Buffer.from(this.bytesAt(at, 512));
    const end = bytes?.indexOf(0) ?? -1;
    const text = bytes?.toString("utf8", 0, end < 0 ? bytes.length : end).trimEnd() ?? "";
    if (BANNER.test(text)) return text;
    throw new TargetError(`${this.path} does not say which version of Linux it is`, {
      remedy: "name a kernel image: /boot/vmlinuz-… or a vmlinux",
    });
  }
}

function notKernel(name: string): TargetError {
  return new TargetError(`${name} is no kernel image of x86-64`, {
    remedy: "name a bzImage (/boot/vmlinuz-…) or a vmlinux",
  });
}
