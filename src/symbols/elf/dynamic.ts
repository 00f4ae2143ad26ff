import type { Vaddr } from "../vaddr.js";
import { DYNAMIC, DYNAMIC_ENTRY_SIZE } from "./facts.js";
import type { Fields } from "./fields.js";

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

export const NO_DYNAMIC: DynamicSegment = {
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

/**
 * @param table  the segment's bytes
 * @param at     its vaddr
 * @param stringsAt the string table that starts at a vaddr, as far as the file has it
 */
export function parseDynamic(
  table: Fields,
  at: Vaddr,
  stringsAt: (vaddr: Vaddr, size: number) => Fields | undefined,
): DynamicSegment {
  const values = new Map<number, { vaddr: Vaddr; number: number; slot: Vaddr }>();
  const neededAt: number[] = [];
  for (let entry = 0; entry + DYNAMIC_ENTRY_SIZE <= table.length; entry += DYNAMIC_ENTRY_SIZE) {
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
    stringsStart === undefined ? undefined : stringsAt(stringsStart, number(DYNAMIC.stringsSize));
  const stringOf = (tag: number) => {
    const offset = values.get(tag)?.number;
    return offset === undefined ? undefined : strings?.string(offset);
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
    needed: neededAt.map((offset) => strings?.string(offset) ?? "").filter((name) => name !== ""),
    soname: stringOf(DYNAMIC.soname),
    runPath: (stringOf(DYNAMIC.runpath) ?? stringOf(DYNAMIC.rpath) ?? "").split(":").filter((part) => part !== ""),
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
