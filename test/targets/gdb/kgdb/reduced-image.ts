// The kernel of the recorded sessions as a file that is small enough to be kept: an ELF file of its shape, with its
// symbols, the types that the sessions name, and of its instructions none but the calls
// that a compiler puts at a function's entry for ftrace. `npm run kgdb -- --record=FOLDER` makes it.
import { readFileSync } from "node:fs";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { payloadOf } from "../../../../src/symbols/kernel/payload/boot-image.js";
import { unpackPayload } from "../../../../src/symbols/kernel/payload/unpack.js";
import { KernelImage } from "../../../../src/symbols/kernel/image.js";
import { reducedTypes, type Wanted } from "./reduced-types.js";

/** What the sessions, the tapset's functions that they use, and our own look at a kernel name. */
const WANTED: Wanted = {
  structs: new Set(
    "task_struct cred file path dentry qstr inode vfsmount mount super_block fs_struct module module_layout module_memory list_head thread_struct thread_info nsproxy kernel_symbol mod_kallsyms".split(
      " ",
    ),
  ),
  functions: new Set(["vfs_read", "vfs_open"]),
  variables: new Set(
    "current_task pcpu_hot cpu_number cpu_current_top_of_stack modules init_task".split(" "),
  ),
};

/** Tables of numbers that tell where no probe may be; and nothing else of the kernel's is kept. */
const TABLES = ["__ex_table", ".altinstructions", ".smp_locks"];
const STRETCHES = [
  ["__start___jump_table", "__stop___jump_table"],
  ["__start_static_call_sites", "__stop_static_call_sites"],
] as const;

/** Functions that the sessions probe, and that we ourselves do: their entries, five bytes for ftrace, tell where. */
const PROBED = ["acpi_*", "pci_*", "vfs_read", "vfs_open", "do_init_module"];
const FTRACE_BYTES = 5;

// elf(5)
const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const HEADER = { sections: 0x28, count: 0x3c, names: 0x3e } as const;
const SECTION = { type: 4, offset: 24, size: 32, link: 40, info: 44, align: 48, entry: 56 } as const;
const TYPE = { symbols: 2, strings: 3 } as const;
const LOCAL_FUNCTION = 0x02;
const GLOBAL_FUNCTION = 0x12;
/** Which section does not matter: the address tells. */
const ANY_SECTION = 1;

/** @returns the file, compressed */
export function reducedImage(kernel: string): Buffer {
  const whole = unpackPayload(payloadOf(readFileSync(kernel), kernel), kernel);
  using image = KernelImage.open(kernel);
  const reduced = Buffer.alloc(whole.length);
  const { elf } = image;
  const copy = (from: number, to: number): void => {
    whole.copy(reduced, from, from, to);
  };
  /** Where in the file an address is. */
  const offsetOf = (vaddr: number): number => {
    const segment = elf.segments.find((one) => vaddr >= one.vaddr && vaddr < one.vaddr + one.fileSize);
    if (segment === undefined) throw new Error(`nothing of ${kernel} is at ${vaddr.toString(16)}`);
    return segment.offset + (vaddr - segment.vaddr);
  };
  copy(0, 64 + 56 * whole.readUInt16LE(0x38));
  const banner = image.symbol("linux_banner");
  if (banner === undefined) throw new Error(`${kernel} has no banner`);
  copy(offsetOf(banner), offsetOf(banner) + image.banner.length + 2);
  const tables = TABLES.map((name) => image.section(name));
  for (const range of [...tables, ...STRETCHES.map(([start, end]) => image.between(start, end))])
    if (range !== undefined) copy(offsetOf(range.start), offsetOf(range.start) + (range.end - range.start));
  for (const { vaddr } of PROBED.flatMap((pattern) => image.functions(pattern)))
    if (isForFtrace(whole, offsetOf(vaddr))) copy(offsetOf(vaddr), offsetOf(vaddr) + FTRACE_BYTES);
  const btf = elf.sections.find(({ name }) => name === ".BTF");
  if (btf === undefined) throw new Error(`${kernel} has no types`);
  const types = reducedTypes(Buffer.from(elf.bytesAt(btf.vaddr, btf.size)), WANTED);
  types.copy(reduced, offsetOf(btf.vaddr));
  return compressed(
    withSymbols(whole, reduced, image, { section: elf.sections.indexOf(btf), size: types.length }),
  );
}

/** `call`, before the kernel makes a `nop` of it when it boots. */
function isForFtrace(file: Buffer, offset: number): boolean {
  return file[offset] === 0xe8;
}

export function expandedImage(path: string): Buffer {
  return brotliDecompressSync(readFileSync(path));
}

function compressed(bytes: Buffer): Buffer {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 9,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
}

/** Section headers, behind the file, with a symbol table: what kallsyms has, without its instructions. */
function withSymbols(
  whole: Buffer,
  reduced: Buffer,
  image: KernelImage,
  types: { readonly section: number; readonly size: number },
): Buffer {
  const headersAt = Number(whole.readBigUInt64LE(HEADER.sections));
  const count = whole.readUInt16LE(HEADER.count);
  const headers = Buffer.from(whole.subarray(headersAt, headersAt + count * SECTION_BYTES));
  headers.writeBigUInt64LE(BigInt(types.size), types.section * SECTION_BYTES + SECTION.size);
  const namesAt = whole.readUInt16LE(HEADER.names) * SECTION_BYTES;
  const nameOffset = Number(headers.readBigUInt64LE(namesAt + SECTION.offset));
  const nameLength = Number(headers.readBigUInt64LE(namesAt + SECTION.size));
  const names = Buffer.concat([
    whole.subarray(nameOffset, nameOffset + nameLength),
    Buffer.from(".symtab\0.strtab\0"),
  ]);
  const { symbols, strings } = symbolTable(image);
  const end = reduced.length;
  const place = (header: Buffer, at: number, offset: number, size: number): void => {
    header.writeBigUInt64LE(BigInt(offset), at + SECTION.offset);
    header.writeBigUInt64LE(BigInt(size), at + SECTION.size);
  };
  place(headers, namesAt, end, names.length);
  const symbolHeader = Buffer.alloc(SECTION_BYTES);
  symbolHeader.writeUInt32LE(nameLength, 0);
  symbolHeader.writeUInt32LE(TYPE.symbols, SECTION.type);
  symbolHeader.writeUInt32LE(count + 1, SECTION.link);
  symbolHeader.writeUInt32LE(1, SECTION.info);
  symbolHeader.writeBigUInt64LE(8n, SECTION.align);
  symbolHeader.writeBigUInt64LE(BigInt(SYMBOL_BYTES), SECTION.entry);
  place(symbolHeader, 0, end + names.length, symbols.length);
  const stringHeader = Buffer.alloc(SECTION_BYTES);
  stringHeader.writeUInt32LE(nameLength + ".symtab\0".length, 0);
  stringHeader.writeUInt32LE(TYPE.strings, SECTION.type);
  stringHeader.writeBigUInt64LE(1n, SECTION.align);
  place(stringHeader, 0, end + names.length + symbols.length, strings.length);
  reduced.writeBigUInt64LE(BigInt(end + names.length + symbols.length + strings.length), HEADER.sections);
  reduced.writeUInt16LE(count + 2, HEADER.count);
  return Buffer.concat([reduced, names, symbols, strings, headers, symbolHeader, stringHeader]);
}

function symbolTable(image: KernelImage): { readonly symbols: Buffer; readonly strings: Buffer } {
  const all = [...image.symbols()];
  const symbols = Buffer.alloc((all.length + 1) * SYMBOL_BYTES);
  const names = [""];
  let length = 1;
  all.forEach(({ name, vaddr, type }, index) => {
    const at = (index + 1) * SYMBOL_BYTES;
    const isFunction = /[tw]/i.test(type);
    const isLocal = type === type.toLowerCase();
    symbols.writeUInt32LE(length, at);
    symbols[at + 4] = isFunction ? (isLocal ? LOCAL_FUNCTION : GLOBAL_FUNCTION) : isLocal ? 1 : 0x11;
    symbols.writeUInt16LE(ANY_SECTION, at + 6);
    symbols.writeBigInt64LE(BigInt(vaddr), at + 8);
    names.push(name);
    length += Buffer.byteLength(name) + 1;
  });
  return { symbols, strings: Buffer.from(`${names.join("\0")}\0`) };
}
