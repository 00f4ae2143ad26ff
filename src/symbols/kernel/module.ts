import type { Address } from "../../base/address.js";
import { TargetError } from "../../base/errors.js";
import type { RefusalReason } from "../../base/refusals.js";
import { BtfTypes } from "../btf/types.js";
import { compileGlob, type Glob } from "../glob.js";
import { placeOf } from "../types/members.js";
import type { FunctionType, TypeNames } from "../types/type.js";
import { mergeRanges, rangeAt, type Vaddr, type VaddrRange } from "../vaddr.js";
import type { KernelCode, KernelVariable } from "./code.js";
import { ExceptionTable } from "./exception-table.js";
import { readExports } from "./exports.js";
import { ForbiddenText, type ForbiddenTable, type NamedStretch } from "./forbidden.js";
import { FunctionNames, type KernelFunction } from "./functions.js";
import { type LiveMemory, LiveStruct, readLive, walkList } from "./live.js";
import { moduleColumns } from "./module-symbols.js";
import { OrcTable } from "./orc-table.js";
import { type KernelSymbol, type KernelSymbolAt, SymbolIndex } from "./symbol-index.js";

/** A table that `struct module` tells of: its address, and how many entries it has. */
type TableName = readonly [pointer: string, count: string, entrySize: number];

const TABLES = {
  exports: ["syms", "num_syms", 12],
  gplExports: ["gpl_syms", "num_gpl_syms", 12],
  exceptions: ["extable", "num_exentries", 12],
  orcStarts: ["arch.orc_unwind_ip", "arch.num_orcs", 4],
  orcEntries: ["arch.orc_unwind", "arch.num_orcs", 6],
  jumpLabels: ["jump_entries", "num_jump_entries", 16],
  staticCalls: ["static_call_sites", "num_static_call_sites", 8],
  blacklist: ["kprobe_blacklist", "num_kprobe_blacklist", 8],
} as const satisfies Record<string, TableName>;

/** What no module has: a damaged count is not believed. */
const MOST_BYTES = 1 << 26;

/** What a module is made of. */
export interface ModuleFacts {
  readonly memory: LiveMemory;
  /** `struct module`. */
  readonly struct: LiveStruct;
  readonly kernelTypes: TypeNames;
  /** What a module's own types are numbered on behind; undefined where the kernel has no BTF. */
  readonly kernelBtf: BtfTypes | undefined;
  readonly name: string;
  /** All that is its own: text first, then data. */
  readonly ranges: readonly VaddrRange[];
  /** The kernel's list of modules' types; undefined where it has none (CONFIG_DEBUG_INFO_BTF_MODULES). */
  readonly typesList: Address | undefined;
}

/**
 * A module of a running kernel, read from the kernel's memory: the tables that the kernel keeps for itself.
 * Addresses are the running kernel's. Everything is read when it is first asked for, and kept: the module
 * must not go away before, and nothing tells when it does.
 */
export class KernelModule implements KernelCode {
  private symbolsKept: SymbolIndex | undefined;
  private functionsKept: FunctionNames | undefined;
  private exportsKept: ReadonlySet<number> | undefined;
  private typesKept: { readonly types: BtfTypes | undefined } | undefined;
  private forbiddenKept: ForbiddenText | undefined;
  private exceptionsKept: ExceptionTable | undefined;
  private orcKept: { readonly table: OrcTable | undefined } | undefined;

  private readonly memory: LiveMemory;
  private readonly struct: LiveStruct;
  readonly name: string;
  /** All that is its own: text first, then data. */
  readonly ranges: readonly VaddrRange[];

  constructor(private readonly facts: ModuleFacts) {
    this.memory = facts.memory;
    this.struct = facts.struct;
    this.name = facts.name;
    this.ranges = facts.ranges;
  }

  /** Where its `struct module` lies: what tells it from another of that name that comes later. */
  get at(): Address {
    return this.struct.at;
  }

  get text(): readonly VaddrRange[] {
    return this.ranges.slice(0, 1);
  }

  /** Where its text begins, which is what /proc/modules tells. */
  get base(): Address {
    return (this.ranges[0]?.start ?? 0) as number as Address;
  }

  /** Split BTF on the kernel's; the kernel's own where the module has none. @throws TargetError damaged */
  get types(): TypeNames {
    return this.btf ?? this.facts.kernelTypes;
  }

  prototype(name: string): FunctionType | undefined {
    return this.btf?.prototype(name);
  }

  variable(name: string): KernelVariable | undefined {
    const described = this.btf?.variable(name);
    const vaddr = described && this.symbol(name);
    return vaddr && { vaddr, type: described.type, perCpu: described.section === ".data..percpu" };
  }

  isInBtf(name: string): boolean {
    return this.prototype(name) !== undefined;
  }

  /** Debug information of modules is not read: each has a file of its own, which is not linked. */
  variablesAt(): undefined {
    return undefined;
  }

  symbol(name: string): Vaddr | undefined {
    return this.index.find(name)?.vaddr;
  }

  symbolAt(vaddr: Vaddr): KernelSymbolAt | undefined {
    const holder = rangeAt(this.text, vaddr) ?? rangeAt(mergeRanges(this.ranges), vaddr);
    return holder && this.index.at(vaddr, holder.end);
  }

  symbols(): Iterable<KernelSymbol> {
    return this.index.all();
  }

  functions(pattern: string | Glob): readonly KernelFunction[] {
    this.functionsKept ??= new FunctionNames(this.index, this.text, () => this.exports);
    return this.functionsKept.find(typeof pattern === "string" ? compileGlob(pattern) : pattern);
  }

  forbidden(vaddr: Vaddr): RefusalReason | undefined {
    this.forbiddenKept ??= this.readForbidden();
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
    this.symbolsKept ??= this.readSymbols();
    return this.symbolsKept;
  }

  private get btf(): BtfTypes | undefined {
    this.typesKept ??= { types: this.readTypes() };
    return this.typesKept.types;
  }

  private get exports(): ReadonlySet<number> {
    const tables = [this.place(TABLES.exports), this.place(TABLES.gplExports)];
    this.exportsKept ??= readExports(
      tables.filter((table) => table !== undefined),
      (vaddr, length) => readLive(this.memory, vaddr as number as Address, length, this.what("exports")),
    );
    return this.exportsKept;
  }

  private readSymbols(): SymbolIndex {
    const tables = this.struct.follow(this.memory, "kallsyms", "mod_kallsyms");
    return new SymbolIndex(
      moduleColumns(
        this.memory,
        {
          symbols: tables.pointer("symtab"),
          count: tables.u32("num_symtab"),
          strings: tables.pointer("strtab"),
          letters: tables.has("typetab") ? tables.pointer("typetab") : undefined,
        },
        this.name,
        this.exports,
      ),
    );
  }

  /** The kernel's copy: what `btf_data` of `struct module` points to is gone once the module is there. */
  private readTypes(): BtfTypes | undefined {
    const { kernelTypes, kernelBtf, typesList } = this.facts;
    const link = placeOf(kernelTypes, "btf_module", "list");
    if (typesList === undefined || kernelBtf === undefined || link === undefined) return undefined;
    for (const at of walkList(this.memory, typesList, link.offset, "the list of modules' types")) {
      const entry = LiveStruct.read(this.memory, at, kernelTypes, "btf_module");
      if (entry.pointer("module") !== this.struct.at) continue;
      const btf = entry.follow(this.memory, "btf", "btf");
      const size = btf.u32("data_size");
      const what = this.what("types");
      if (size > MOST_BYTES) throw new TargetError(`${what}: they are said to have ${size} bytes`);
      return BtfTypes.parse(readLive(this.memory, btf.pointer("data"), size, what), what, kernelBtf);
    }
    return undefined;
  }

  private readExceptions(): ExceptionTable {
    const table = this.table(TABLES.exceptions);
    return table === undefined
      ? new ExceptionTable(new Uint8Array(0), 0 as Vaddr)
      : new ExceptionTable(table.bytes, table.start);
  }

  private readOrc(): OrcTable | undefined {
    const starts = this.table(TABLES.orcStarts);
    const entries = this.table(TABLES.orcEntries);
    return (
      starts &&
      entries &&
      new OrcTable(starts.bytes, starts.start, entries.bytes, this.text, this.what("unwind tables"))
    );
  }

  private readForbidden(): ForbiddenText {
    const { struct } = this;
    const stretches: NamedStretch[] = [];
    for (const [reason, start, size] of [
      ["noinstr-text", "noinstr_text_start", "noinstr_text_size"],
      ["kprobe-blacklist", "kprobes_text_start", "kprobes_text_size"],
    ] as const) {
      if (!struct.has(start) || !struct.has(size)) continue;
      const from = struct.pointer(start) as number as Vaddr;
      stretches.push({ reason, start: from, end: (from + struct.u32(size)) as Vaddr });
    }
    const patched: ForbiddenTable[] = [TABLES.jumpLabels, TABLES.staticCalls].flatMap((name) => {
      const table = this.table(name);
      return table === undefined ? [] : [{ ...table, entrySize: name[2] }];
    });
    return new ForbiddenText({
      text: this.text,
      stretches,
      patched,
      blacklist: this.table(TABLES.blacklist)?.bytes,
      symbolAt: (vaddr) => this.symbolAt(vaddr),
      byteAt: (vaddr) => {
        const byte = new Uint8Array(1);
        return this.memory.readSome(vaddr as number as Address, byte) === 1 ? byte[0] : undefined;
      },
    });
  }

  private place([pointer, count, entrySize]: TableName): VaddrRange | undefined {
    const { struct } = this;
    if (!struct.has(pointer) || !struct.has(count)) return undefined;
    const start = struct.pointer(pointer) as number as Vaddr;
    const size = struct.u32(count) * entrySize;
    return start === 0 || size === 0 || size > MOST_BYTES
      ? undefined
      : { start, end: (start + size) as Vaddr };
  }

  private table(name: TableName): { readonly bytes: Buffer; readonly start: Vaddr } | undefined {
    const range = this.place(name);
    if (range === undefined) return undefined;
    const { start, end } = range;
    const bytes = readLive(this.memory, start as number as Address, end - start, this.what(name[0]));
    return { bytes, start };
  }

  private what(part: string): string {
    return `module ${this.name}, ${part}`;
  }
}
