import type { Vaddr } from "../vaddr.js";
import { DYNAMIC, DYNAMIC_ENTRY_SIZE, SEGMENT } from "./facts.js";
import type { Fields } from "./fields.js";
import type { ElfFile } from "./file.js";

/** What PT_DYNAMIC tells the dynamic linker. */
export interface DynamicSegment {
  /** DT_NEEDED: libraries to load, in order. */
  readonly needed: readonly string[];
  readonly soname: string | undefined;
  /** DT_RUNPATH, or DT_RPATH where there is no DT_RUNPATH: directories, `$ORIGIN` not expanded. */
  readonly runPath: readonly string[];
  /** DT_FLAGS_1, 0 where absent. */
  readonly flags1: number;
  /** Where the value of DT_DEBUG stands: at run time the dynamic linker writes `&_r_debug` there. */
  readonly debugSlot: Vaddr | undefined;
  readonly symbols: Vaddr | undefined;
  readonly strings: Vaddr | undefined;
  readonly stringsSize: number;
  readonly hash: Vaddr | undefined;
  readonly gnuHash: Vaddr | undefined;
  /** Tables of `Elf64_Rela`: DT_RELA and DT_JMPREL. */
  readonly relocations: readonly { readonly vaddr: Vaddr; readonly size: number }[];
}

const NO_DYNAMIC: DynamicSegment = {
  needed: [],
  soname: undefined,
  runPath: [],
  flags1: 0,
  debugSlot: undefined,
  symbols: undefined,
  strings: undefined,
  stringsSize: 0,
  hash: undefined,
  gnuHash: undefined,
  relocations: [],
};

export function readDynamic(file: ElfFile): DynamicSegment {
  return file.tolerate(NO_DYNAMIC, () => {
    const segment = file.segment(SEGMENT.dynamic);
    const table = file.segmentContents(SEGMENT.dynamic, "PT_DYNAMIC");
    return segment === undefined || table === undefined
      ? NO_DYNAMIC
      : parseDynamic(file, table, segment.vaddr);
  });
}

/** Real segments have about thirty entries, and one more for each library that is needed. */
const MAX_ENTRIES = 4096;
/** PATH_MAX. */
const MAX_NAME = 4096;

function parseDynamic(file: ElfFile, table: Fields, at: Vaddr): DynamicSegment {
  const values = new Map<number, { vaddr: Vaddr; number: number; slot: Vaddr }>();
  const neededAt: number[] = [];
  const length = Math.min(table.length, MAX_ENTRIES * DYNAMIC_ENTRY_SIZE);
  for (let entry = 0; entry + DYNAMIC_ENTRY_SIZE <= length; entry += DYNAMIC_ENTRY_SIZE) {
    const tag = table.i64(entry);
    if (tag === DYNAMIC.end) break;
    const number = table.u64(entry + 8);
    if (tag === DYNAMIC.needed) neededAt.push(number);
    else values.set(tag, { vaddr: table.vaddr(entry + 8), number, slot: (at + entry + 8) as Vaddr });
  }
  const vaddr = (tag: number) => values.get(tag)?.vaddr;
  const number = (tag: number) => values.get(tag)?.number ?? 0;
  const stringsStart = vaddr(DYNAMIC.strings);
  const strings =
    stringsStart === undefined
      ? undefined
      : file.contentsAt("DT_STRTAB", stringsStart, number(DYNAMIC.stringsSize));
  const stringOf = (tag: number) => {
    const offset = values.get(tag)?.number;
    return offset === undefined ? undefined : strings?.string(offset, MAX_NAME);
  };
  const relocations: { vaddr: Vaddr; size: number }[] = [];
  for (const [start, size] of [
    [DYNAMIC.rela, DYNAMIC.relaSize],
    [DYNAMIC.pltRelocations, DYNAMIC.pltRelocationsSize],
  ] as const) {
    const from = vaddr(start);
    if (from !== undefined) relocations.push({ vaddr: from, size: number(size) });
  }
  return {
    needed: neededAt.map((offset) => strings?.string(offset, MAX_NAME) ?? "").filter((name) => name !== ""),
    soname: stringOf(DYNAMIC.soname),
    runPath: (stringOf(DYNAMIC.runpath) ?? stringOf(DYNAMIC.rpath) ?? "")
      .split(":")
      .filter((part) => part !== ""),
    flags1: number(DYNAMIC.flags1),
    debugSlot: values.get(DYNAMIC.debug)?.slot,
    symbols: vaddr(DYNAMIC.symbols),
    strings: stringsStart,
    stringsSize: number(DYNAMIC.stringsSize),
    hash: vaddr(DYNAMIC.hash),
    gnuHash: vaddr(DYNAMIC.gnuHash),
    relocations,
  };
}
