import { type DynamicSegment } from "./dynamic.js";
import { SECTION, SYMBOL_SIZE } from "./facts.js";
import type { ElfFile } from "./file.js";
import { countByGnuHash, countByHash, type SymbolOrigin, SymbolTable } from "./symbol-table.js";

/** `.symtab`: all symbols, local ones too, unless the file was stripped. */
export function fullSymbols(file: ElfFile, origin: SymbolOrigin): SymbolTable | undefined {
  return sectionSymbols(file, SECTION.symbols, origin);
}

/** The symbols that the dynamic linker uses: `.dynsym` or, where section headers were stripped, DT_SYMTAB. */
export function dynamicSymbols(file: ElfFile, dynamic: DynamicSegment): SymbolTable | undefined {
  return (
    sectionSymbols(file, SECTION.dynamicSymbols, "dynsym") ??
    file.tolerate(undefined, () => segmentSymbols(file, dynamic))
  );
}

function sectionSymbols(file: ElfFile, type: number, origin: SymbolOrigin): SymbolTable | undefined {
  return file.tolerate(undefined, () => {
    const sections = file.header.sections;
    const section = sections.find((one) => one.type === type);
    const strings = section && sections[section.link];
    const symbolBytes = section && file.sectionContents(section);
    const stringBytes = strings && file.sectionContents(strings);
    if (symbolBytes === undefined || stringBytes === undefined) return undefined;
    return new SymbolTable(symbolBytes, stringBytes, origin);
  });
}

function segmentSymbols(file: ElfFile, dynamic: DynamicSegment): SymbolTable | undefined {
  const { symbols, strings, stringsSize, hash, gnuHash } = dynamic;
  if (symbols === undefined || strings === undefined) return undefined;
  const hashBytes = hash === undefined ? undefined : file.contentsAt("DT_HASH", hash, Infinity);
  const gnuBytes = gnuHash === undefined ? undefined : file.contentsAt("DT_GNU_HASH", gnuHash, Infinity);
  const count = hashBytes ? countByHash(hashBytes) : gnuBytes ? countByGnuHash(gnuBytes) : 0;
  const symbolBytes = file.contentsAt("DT_SYMTAB", symbols, count * SYMBOL_SIZE);
  const stringBytes = file.contentsAt("DT_STRTAB", strings, stringsSize);
  if (symbolBytes === undefined || stringBytes === undefined) return undefined;
  return new SymbolTable(symbolBytes, stringBytes, "dynsym");
}
