import { TargetError } from "../../base/errors.js";
import { SEGMENT } from "../elf/facts.js";
import type { ElfImage } from "../elf/image.js";
import type { Vaddr } from "../vaddr.js";
import { findKallsyms } from "./kallsyms-tables.js";
import { kallsymsColumns, type SymbolColumns, SymbolIndex } from "./symbol-index.js";

/**
 * The symbols of a kernel: from its `.symtab`, unless that was stripped, else from the tables that the
 * kernel has for itself.
 *
 * @throws TargetError it has neither
 */
export function readSymbols(elf: ElfImage): SymbolIndex {
  const columns = symtabColumns(elf) ?? embeddedColumns(elf);
  if (columns === undefined) {
    throw new TargetError(`${elf.path} has no symbols`, {
      remedy: "use a kernel that is built with CONFIG_KALLSYMS, or a vmlinux that is not stripped",
    });
  }
  return new SymbolIndex(columns);
}

function embeddedColumns(elf: ElfImage): SymbolColumns | undefined {
  for (const { bytes, vaddr } of readOnlyData(elf)) {
    const tables = findKallsyms(bytes, vaddr);
    if (tables !== undefined) return kallsymsColumns(tables);
  }
  return undefined;
}

/** `.rodata`, or all that is loaded where there are no section headers. */
function* readOnlyData(elf: ElfImage): Generator<{ readonly bytes: Uint8Array; readonly vaddr: Vaddr }> {
  const section = elf.sections.find((one) => one.name === ".rodata");
  if (section !== undefined) {
    yield { bytes: elf.bytesAt(section.vaddr, section.size), vaddr: section.vaddr };
    return;
  }
  for (const { type, vaddr, fileSize } of elf.segments)
    if (type === SEGMENT.load) yield { bytes: elf.bytesAt(vaddr, fileSize), vaddr };
}

function symtabColumns(elf: ElfImage): SymbolColumns | undefined {
  const found = [...elf.symbols()].filter((one) => one.origin === "symtab" && isNamed(one));
  if (found.length === 0) return undefined;
  const writable = elf.segments.filter((one) => one.type === SEGMENT.load && one.writable);
  const typeOf = (vaddr: Vaddr): string => {
    if (vaddr >= 0) return "A";
    if (elf.isCode(vaddr)) return "T";
    return writable.some((one) => vaddr >= one.vaddr && vaddr < one.vaddr + one.memorySize) ? "D" : "R";
  };
  // Per-CPU variables are linked to addresses from 0 on: mere numbers, and first, as kallsyms has them.
  const rank = (vaddr: number): number => (vaddr >= 0 ? vaddr - 2 ** 50 : vaddr);
  found.sort((one, other) => rank(one.vaddr) - rank(other.vaddr));
  const absolute = found.findIndex((one) => one.vaddr < 0);
  return {
    count: found.length,
    addresses: Float64Array.from(found, (one) => one.vaddr),
    absolute: absolute < 0 ? found.length : absolute,
    name: (index) => found[index]?.name ?? "",
    type: (index) => {
      const symbol = found[index];
      if (symbol === undefined) return "?";
      const type = symbol.binding === "weak" ? "W" : typeOf(symbol.vaddr);
      return symbol.binding === "local" ? type.toLowerCase() : type;
    },
  };
}

function isNamed(symbol: { name: string; placed: boolean; type: string }): boolean {
  return symbol.placed && symbol.name !== "" && symbol.type !== "section" && symbol.type !== "file";
}
