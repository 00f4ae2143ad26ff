/**
 * Numbers of the ELF format that Trapline needs. System V ABI, generic part (gABI) chapters 4 and 5;
 * System V ABI, AMD64 supplement, chapters 4 and 5; for GNU's own, elf.h of the GNU C library.
 */
export const HEADER_SIZE = 64;
export const PROGRAM_HEADER_SIZE = 56;
export const SECTION_HEADER_SIZE = 64;
export const SYMBOL_SIZE = 24;
export const RELA_SIZE = 24;
export const DYNAMIC_ENTRY_SIZE = 16;

export const CLASS_64 = 2;
export const CLASS_32 = 1;
export const DATA_LITTLE_ENDIAN = 1;
export const MACHINE_X86_64 = 62;

/** `e_machine` of what people try by mistake. */
export const MACHINES: Readonly<Record<number, string>> = {
  2: "SPARC",
  3: "i386",
  8: "MIPS",
  20: "PowerPC",
  21: "64-bit PowerPC",
  22: "S/390",
  40: "32-bit ARM",
  183: "AArch64",
  243: "RISC-V",
  247: "eBPF",
  258: "LoongArch",
};

export const FILE_TYPE = { relocatable: 1, executable: 2, dynamic: 3, core: 4 } as const;

export const SEGMENT = { load: 1, dynamic: 2, interpreter: 3, note: 4, tls: 7, ehFrame: 0x6474e550 } as const;
export const SEGMENT_FLAG = { execute: 1, write: 2, read: 4 } as const;

export const SECTION = {
  symbols: 2,
  strings: 3,
  rela: 4,
  note: 7,
  noBits: 8,
  dynamicSymbols: 11,
} as const;
export const SECTION_FLAG = { write: 1, allocated: 2, execute: 4, compressed: 0x800 } as const;

/** `e_phnum`, `e_shnum`, `e_shstrndx` that say: the number stands in section header 0. */
export const EXTENDED = { programHeaders: 0xffff, sectionNames: 0xffff } as const;

/** `st_shndx` that name no section. */
export const SECTION_INDEX = {
  undefined: 0,
  reserved: 0xff00,
  absolute: 0xfff1,
  common: 0xfff2,
  extended: 0xffff,
} as const;

export const SYMBOL_TYPE = {
  notype: 0,
  object: 1,
  func: 2,
  section: 3,
  file: 4,
  common: 5,
  tls: 6,
  ifunc: 10,
} as const;

export const DYNAMIC = {
  end: 0,
  needed: 1,
  hash: 4,
  strings: 5,
  symbols: 6,
  rela: 7,
  relaSize: 8,
  stringsSize: 10,
  soname: 14,
  rpath: 15,
  debug: 21,
  pltRelocations: 23,
  pltRelocationsSize: 2,
  runpath: 29,
  gnuHash: 0x6ffffef5,
  flags1: 0x6ffffffb,
} as const;

/** `DF_1_PIE` in `DT_FLAGS_1`: this ET_DYN is a program, not a library. */
export const FLAGS_1_PIE = 0x08000000;

/** AMD64 supplement, table 4.9. */
export const RELOCATION = {
  absolute64: 1,
  copy: 5,
  globDat: 6,
  jumpSlot: 7,
  relative: 8,
  dtpmod64: 16,
  dtpoff64: 17,
  tpoff64: 18,
  tlsdesc: 36,
  irelative: 37,
} as const;

/** `NT_GNU_BUILD_ID`, a note whose name is `GNU`. */
export const NOTE_BUILD_ID = 3;
