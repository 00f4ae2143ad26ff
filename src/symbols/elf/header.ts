import { TargetError } from "../../base/errors.js";
import type { Vaddr } from "../vaddr.js";
import {
  CLASS_32,
  CLASS_64,
  DATA_LITTLE_ENDIAN,
  EXTENDED,
  FILE_TYPE,
  HEADER_SIZE,
  MACHINES,
  MACHINE_X86_64,
  PROGRAM_HEADER_SIZE,
  SECTION,
  SECTION_FLAG,
  SECTION_HEADER_SIZE,
  SEGMENT,
  SEGMENT_FLAG,
} from "./facts.js";
import { Fields } from "./fields.js";
import type { ByteSource } from "./source.js";

/** A program header: a piece of the file and where it goes in memory. */
export interface ElfSegment {
  /** `p_type`. */
  readonly type: number;
  readonly executable: boolean;
  readonly writable: boolean;
  readonly offset: number;
  readonly vaddr: Vaddr;
  readonly fileSize: number;
  readonly memorySize: number;
}

export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** `sh_type`. */
  readonly type: number;
  /** In memory when the program runs. */
  readonly allocated: boolean;
  readonly executable: boolean;
  readonly compressed: boolean;
  readonly vaddr: Vaddr;
  readonly offset: number;
  readonly size: number;
  /** `sh_link`. */
  readonly link: number;
}

export interface ElfHeader {
  /** ET_EXEC is linked to a fixed place; ET_DYN (a PIE, a library) goes anywhere. */
  readonly type: "EXEC" | "DYN";
  readonly entry: Vaddr;
  readonly segments: readonly ElfSegment[];
  /** Empty where the file has none, or none that can be read; then `warnings` says so. */
  readonly sections: readonly ElfSection[];
  readonly warnings: readonly string[];
}

/** The kernel runs no program with more than 64 KiB of them (load_elf_phdrs, fs/binfmt_elf.c). */
const MAX_PROGRAM_HEADERS = Math.floor(65_536 / PROGRAM_HEADER_SIZE);

/** User and kernel halves of 48-bit canonical addresses. */
const ADDRESS_LIMIT = 2 ** 47;

/**
 * @throws TargetError not an ELF file, not of x86-64, not a program or library, or cut short
 */
export function parseHeader(source: ByteSource): ElfHeader {
  const fields = checkIdentity(source);
  const type = fileType(fields, source.name);
  const warnings: string[] = [];
  const sectionTable = locateSections(source, fields, warnings);
  const segments = parseSegments(source, fields, sectionTable);
  const sections = sectionTable === undefined ? [] : parseSections(source, sectionTable, warnings);
  return { type, entry: fields.vaddr(24), segments, sections, warnings };
}

function checkIdentity(source: ByteSource): Fields {
  const start = source.read(0, Math.min(HEADER_SIZE, source.size));
  const magic = start.length >= 4 && start.readUInt32BE(0) === 0x7f454c46;
  if (!magic) {
    throw new TargetError(
      `${source.name} is not an ELF file${start.subarray(0, 2).equals(Buffer.from("#!")) ? " but a script" : ""}`,
      {
        remedy: "name the program that runs: for a script, its interpreter",
      },
    );
  }
  if (start.length < 20) throw truncated(source.name);
  if (start[4] === CLASS_32) {
    const machine = start.readUInt16LE(18);
    const abi =
      machine === MACHINE_X86_64
        ? " (x32)"
        : MACHINES[machine] === undefined
          ? ""
          : ` (${MACHINES[machine]})`;
    throw new TargetError(`${source.name} is a 32-bit file${abi}: only 64-bit x86-64 can be traced`);
  }
  if (start[4] !== CLASS_64)
    throw new TargetError(`${source.name} is no ELF file that we know (class ${start[4]})`);
  if (start[5] !== DATA_LITTLE_ENDIAN) {
    throw new TargetError(`${source.name} is for a big-endian machine: only x86-64 can be traced`);
  }
  const machine = start.readUInt16LE(18);
  if (machine !== MACHINE_X86_64) {
    const name = MACHINES[machine] ?? `machine ${machine}`;
    throw new TargetError(`${source.name} is for ${name}: only x86-64 can be traced`);
  }
  if (start.length < HEADER_SIZE) throw truncated(source.name);
  return new Fields(start, source.name);
}

function fileType(fields: Fields, name: string): "EXEC" | "DYN" {
  const type = fields.u16(16);
  switch (type) {
    case FILE_TYPE.executable:
      return "EXEC";
    case FILE_TYPE.dynamic:
      return "DYN";
    case FILE_TYPE.relocatable:
      throw new TargetError(`${name} is an object file: link it into a program first`);
    case FILE_TYPE.core:
      throw new TargetError(`${name} is a core dump, not a program`);
    default:
      throw new TargetError(`${name} is neither a program nor a library (ELF type ${type})`);
  }
}

interface SectionTable {
  readonly table: Fields;
  readonly count: number;
  readonly namesIndex: number;
}

function locateSections(source: ByteSource, fields: Fields, warnings: string[]): SectionTable | undefined {
  const offset = fields.u64(40);
  if (offset === 0) return undefined;
  const entrySize = fields.u16(58);
  const fits = (count: number) => offset + count * SECTION_HEADER_SIZE <= source.size;
  if (entrySize !== SECTION_HEADER_SIZE || !fits(1)) {
    warnings.push(
      `${source.name}: its section headers are not in the file; only what the dynamic linker uses is known`,
    );
    return undefined;
  }
  const zeroth = new Fields(source.read(offset, SECTION_HEADER_SIZE), `${source.name}, section headers`);
  // gABI, "ELF header": numbers too large for their field stand in section header 0.
  const count = fields.u16(60) === 0 ? zeroth.u64(32) : fields.u16(60);
  const namesIndex = fields.u16(62) === EXTENDED.sectionNames ? zeroth.u32(40) : fields.u16(62);
  if (!fits(count)) {
    warnings.push(
      `${source.name}: its section headers go past the end of the file; only what the dynamic linker uses is known`,
    );
    return undefined;
  }
  const table = new Fields(
    source.read(offset, count * SECTION_HEADER_SIZE),
    `${source.name}, section headers`,
  );
  return { table, count, namesIndex };
}

function parseSegments(source: ByteSource, fields: Fields, sections: SectionTable | undefined): ElfSegment[] {
  const offset = fields.u64(32);
  const stated = fields.u16(56);
  const count =
    stated === EXTENDED.programHeaders && sections !== undefined ? sections.table.u32(44) : stated;
  if (count === 0) return [];
  if (fields.u16(54) !== PROGRAM_HEADER_SIZE || count > MAX_PROGRAM_HEADERS) {
    throw new TargetError(`${source.name} is damaged: its program headers have no usable size or number`);
  }
  if (offset + count * PROGRAM_HEADER_SIZE > source.size) throw truncated(source.name);
  const table = new Fields(
    source.read(offset, count * PROGRAM_HEADER_SIZE),
    `${source.name}, program headers`,
  );
  const segments: ElfSegment[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = index * PROGRAM_HEADER_SIZE;
    const flags = table.u32(at + 4);
    const segment: ElfSegment = {
      type: table.u32(at),
      executable: (flags & SEGMENT_FLAG.execute) !== 0,
      writable: (flags & SEGMENT_FLAG.write) !== 0,
      offset: table.u64(at + 8),
      vaddr: table.vaddr(at + 16),
      fileSize: table.u64(at + 32),
      memorySize: table.u64(at + 40),
    };
    if (segment.type === SEGMENT.load) checkLoad(segment, source.name);
    segments.push(segment);
  }
  return segments;
}

/** The kernel refuses such a file too (load_elf_binary, fs/binfmt_elf.c). */
function checkLoad(segment: ElfSegment, name: string): void {
  const end = segment.vaddr + segment.memorySize;
  if (segment.vaddr >= -ADDRESS_LIMIT && end <= ADDRESS_LIMIT && segment.fileSize <= segment.memorySize)
    return;
  throw new TargetError(`${name} is damaged: a loaded segment has an impossible address or size`);
}

function parseSections(
  source: ByteSource,
  { table, count, namesIndex }: SectionTable,
  warnings: string[],
): ElfSection[] {
  const names = sectionNames(source, table, count, namesIndex, warnings);
  const sections: ElfSection[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = index * SECTION_HEADER_SIZE;
    const flags = table.u32(at + 8);
    sections.push({
      index,
      name: names?.string(table.u32(at)) ?? "",
      type: table.u32(at + 4),
      allocated: (flags & SECTION_FLAG.allocated) !== 0,
      executable: (flags & SECTION_FLAG.execute) !== 0,
      compressed: (flags & SECTION_FLAG.compressed) !== 0,
      vaddr: table.vaddr(at + 16),
      offset: table.u64(at + 24),
      size: table.u64(at + 32),
      link: table.u32(at + 40),
    });
  }
  return sections;
}

/** Names are cut off here: a section name is a word, and a damaged table must not give megabytes of them. */
function sectionNames(
  source: ByteSource,
  table: Fields,
  count: number,
  index: number,
  warnings: string[],
): { string(at: number): string } | undefined {
  if (index === 0 || index >= count) return undefined;
  const at = index * SECTION_HEADER_SIZE;
  const offset = table.u64(at + 24);
  const size = table.u64(at + 32);
  if (table.u32(at + 4) === SECTION.noBits || offset + size > source.size) {
    warnings.push(`${source.name}: the names of its sections are not in the file`);
    return undefined;
  }
  const fields = new Fields(source.read(offset, size), `${source.name}, section names`);
  return { string: (start) => fields.string(start, MAX_SECTION_NAME) };
}

const MAX_SECTION_NAME = 256;

function truncated(name: string): TargetError {
  return new TargetError(`${name} is truncated: it ends within its own headers`, {
    remedy: "copy or install the file again",
  });
}
