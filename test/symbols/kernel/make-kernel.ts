import { BtfWriter } from "../btf/write-btf.js";
import { describeModules, MODULES, TYPES } from "./make-modules.js";
import { kallsyms, type KallsymsLayout, type MadeSymbol } from "./make-kallsyms.js";

/** A small kernel of our own: everything that a reader looks for, at known places. */
export interface KernelShape {
  readonly layout: KallsymsLayout;
  /** Bits of unwind entries, as Linux 6.1, 6.3 or 6.4 has them. */
  readonly orc: "6.1" | "6.3" | "6.4";
  /** Whether it has section headers. */
  readonly sections: boolean;
  /** Whether its own symbol tables are there. */
  readonly hasKallsyms: boolean;
  readonly symtab: boolean;
}

export const SHAPE: KernelShape = {
  layout: { offsets: "before", sequence: "none", perCpu: true },
  orc: "6.1",
  sections: true,
  hasKallsyms: true,
  symtab: false,
};

export const TEXT = -0x7f00_0000;
const TEXT_SIZE = 0x3000;
const RODATA = TEXT + 0x10000;
const DATA = TEXT + 0x80_0000;
export const BANNER = "Linux version 6.9.0-made (nobody@nowhere) #1 SMP\n";
/** So many functions `made_N`, 32 bytes each, from {@link TEXT} + 0x100 on. */
export const FUNCTIONS = 330;

interface Section {
  readonly name: string;
  readonly vaddr: number;
  readonly bytes: Buffer;
  readonly executable?: boolean;
}

export function functionAt(index: number): number {
  return TEXT + 0x100 + 32 * index;
}

export function makeKernel(shape: KernelShape = SHAPE): Buffer {
  const text = Buffer.alloc(TEXT_SIZE, 0xcc);
  for (let index = 0; index < FUNCTIONS; index += 1)
    Buffer.from("0f1f440000c3", "hex").copy(text, functionAt(index) - TEXT);

  let at = RODATA;
  const sections: Section[] = [{ name: ".text", vaddr: TEXT, bytes: text, executable: true }];
  const place = (name: string, make: (vaddr: number) => Buffer): { start: number; end: number } => {
    at = Math.ceil(at / 64) * 64;
    const bytes = make(at);
    sections.push({ name, vaddr: at, bytes });
    const start = at;
    at += bytes.length;
    return { start, end: at };
  };
  const banner = place(".banner", () => Buffer.from(`${BANNER}\0`));
  const btf = place(".BTF", () => makeBtf(shape.orc === "6.4" ? "6.4" : "6.1"));
  const exceptions = place("__ex_table", (vaddr) => relative(vaddr, 12, [[functionAt(3), functionAt(4)]]));
  const exports = place("__ksymtab", (vaddr) => relative(vaddr, 12, [[functionAt(5)], [functionAt(6)]]));
  const orcStarts = place(".orc_unwind_ip", (vaddr) =>
    relative(vaddr, 4, [[TEXT], [functionAt(0)], [functionAt(1)], [functionAt(2)], [functionAt(3)]]),
  );
  const orc = place(".orc_unwind", () => orcEntries(shape.orc));
  const jumps = place("__jump_table", (vaddr) => relative(vaddr, 16, [[functionAt(7)]]));
  const blacklist = place("_kprobe_blacklist", () => pointers([functionAt(8)]));

  const marks = (start: string, end: string, range: { start: number; end: number }): MadeSymbol[] => [
    { name: start, vaddr: range.start, type: "D" },
    { name: end, vaddr: range.end, type: "D" },
  ];
  const symbols: MadeSymbol[] = [
    { name: "_stext", vaddr: TEXT, type: "T" },
    ...Array.from({ length: FUNCTIONS }, (_, index): MadeSymbol => ({
      name: `made_${String(index)}`,
      vaddr: functionAt(index),
      type: index % 2 === 0 ? "T" : "t",
    })),
    { name: "made_0_alias", vaddr: functionAt(0), type: "t" },
    { name: "made_20.isra.0", vaddr: functionAt(320) + 16, type: "t" },
    { name: "made_21.cold", vaddr: functionAt(321) + 16, type: "t" },
    { name: `long_${"name_".repeat(40)}`, vaddr: functionAt(322) + 16, type: "t" },
    { name: "__noinstr_text_start", vaddr: functionAt(10), type: "T" },
    { name: "__noinstr_text_end", vaddr: functionAt(12), type: "T" },
    { name: "_etext", vaddr: TEXT + TEXT_SIZE, type: "T" },
    { name: "linux_banner", vaddr: banner.start, type: "R" },
    ...marks("__start_BTF", "__stop_BTF", btf),
    ...marks("__start___ex_table", "__stop___ex_table", exceptions),
    ...marks("__start___ksymtab", "__stop___ksymtab", exports),
    ...marks("__start_orc_unwind_ip", "__stop_orc_unwind_ip", orcStarts),
    ...marks("__start_orc_unwind", "__stop_orc_unwind", orc),
    ...marks("__start___jump_table", "__stop___jump_table", jumps),
    ...marks("__start_kprobe_blacklist", "__stop_kprobe_blacklist", blacklist),
    { name: "made_data", vaddr: DATA + 8, type: "d" },
    { name: "modules", vaddr: MODULES, type: "d" },
    { name: "btf_modules", vaddr: TYPES, type: "d" },
    ...(shape.layout.perCpu
      ? [
          { name: "first_of_all", vaddr: 0, type: "A" },
          { name: "counter_of_each", vaddr: 0x40, type: "A" },
        ]
      : []),
  ];
  if (shape.hasKallsyms) place(".rodata", (vaddr) => kallsyms(symbols, TEXT, shape.layout, vaddr));
  sections.push({ name: ".data", vaddr: DATA, bytes: Buffer.alloc(64, 1) });
  return elf(sections, shape, symbols);
}

function makeBtf(modules: "6.1" | "6.4"): Buffer {
  const btf = new BtfWriter();
  const int = btf.integer("int", 4, 1);
  const long = btf.integer("long unsigned int", 8);
  const text = btf.pointer(btf.integer("char", 1));
  const node = btf.next;
  btf.composite("struct", "node", 24, [
    ["next", node + 1, 0],
    ["count", int, 64],
    ["flag", int, 96, 3],
    ["kind", int, 99, 5],
    ["name", text, 128],
  ]);
  btf.pointer(node);
  const each = btf.type(14, "counter_of_each", long, { rest: [1] });
  btf.type(15, ".data..percpu", 8, { count: 1, rest: [each, 0x40, 8] });
  const prototype = btf.prototype(int, [
    ["node", node + 1],
    ["size", long],
  ]);
  btf.type(12, "made_1", prototype, { count: 1 });
  describeModules(btf, modules, int, long);
  return btf.bytes();
}

/** Entries of `size` bytes that begin with the distances of places from their own fields. */
function relative(vaddr: number, size: number, entries: readonly (readonly number[])[]): Buffer {
  const bytes = Buffer.alloc(size * entries.length);
  entries.forEach((places, entry) => {
    places.forEach((place, field) => {
      const at = size * entry + 4 * field;
      bytes.writeInt32LE(place - (vaddr + at), at);
    });
  });
  return bytes;
}

function pointers(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  values.forEach((value, index) => bytes.writeBigInt64LE(BigInt(value), 8 * index));
  return bytes;
}

/** The end of a stack, three calls, an interrupt. */
function orcEntries(layout: KernelShape["orc"]): Buffer {
  const kinds = layout === "6.4" ? { call: 2, registers: 3 } : { call: 0, registers: 1 };
  const ends = { "6.1": 0x400, "6.3": 0x800, "6.4": 0x100 };
  const sp = 5;
  const entries = [
    [0, 0, ends[layout]],
    [8, 0, sp | (kinds.call << 8)],
    [16, -16, sp | (1 << 4) | (kinds.call << 8)],
    [24, 0, sp | (kinds.call << 8)],
    [0, 0, sp | (kinds.registers << 8)],
  ] as const;
  const bytes = Buffer.alloc(6 * entries.length);
  entries.forEach(([spOffset, bpOffset, bits], index) => {
    bytes.writeInt16LE(spOffset, 6 * index);
    bytes.writeInt16LE(bpOffset, 6 * index + 2);
    bytes.writeUInt16LE(bits, 6 * index + 4);
  });
  return bytes;
}

/** One segment for each section, as few as they are. */
function elf(sections: readonly Section[], shape: KernelShape, symbols: readonly MadeSymbol[]): Buffer {
  const all: (Section & { type?: number; link?: number })[] = [...sections];
  if (shape.symtab) {
    const { table, strings } = symtab(symbols);
    all.push({ name: ".symtab", vaddr: 0, bytes: table, type: 2, link: all.length + 2 });
    all.push({ name: ".strtab", vaddr: 0, bytes: strings, type: 3 });
  }
  const names = `\0${[...all.map(({ name }) => name), ".shstrtab"].join("\0")}\0`;
  all.push({ name: ".shstrtab", vaddr: 0, bytes: Buffer.from(names), type: 3 });
  const headers = 64 + 56 * sections.length;
  const offsets: number[] = [];
  let end = headers;
  for (const { bytes } of all) {
    end = Math.ceil(end / 16) * 16;
    offsets.push(end);
    end += bytes.length;
  }
  const table = Math.ceil(end / 8) * 8;
  const file = Buffer.alloc(table + (shape.sections ? 64 * (all.length + 1) : 0));
  file.write("\x7fELF\x02\x01\x01", 0, "latin1");
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(62, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(sections.length, 56);
  file.writeUInt16LE(64, 58);
  if (shape.sections) {
    file.writeBigUInt64LE(BigInt(table), 40);
    file.writeUInt16LE(all.length + 1, 60);
    file.writeUInt16LE(all.length, 62);
  }
  all.forEach(({ name, vaddr, bytes, executable = false, type = 1, link = 0 }, index) => {
    const offset = offsets[index] ?? 0;
    bytes.copy(file, offset);
    const writable = name === ".data";
    if (index < sections.length) {
      const at = 64 + 56 * index;
      file.writeUInt32LE(1, at);
      file.writeUInt32LE(4 | (executable ? 1 : 0) | (writable ? 2 : 0), at + 4);
      file.writeBigUInt64LE(BigInt(offset), at + 8);
      file.writeBigInt64LE(BigInt(vaddr), at + 16);
      file.writeBigUInt64LE(BigInt(bytes.length), at + 32);
      file.writeBigUInt64LE(BigInt(bytes.length), at + 40);
    }
    if (!shape.sections) return;
    const at = table + 64 * (index + 1);
    file.writeUInt32LE(names.indexOf(`\0${name}\0`) + 1, at);
    file.writeUInt32LE(type, at + 4);
    file.writeBigUInt64LE(index < sections.length ? (executable ? 6n : 2n) : 0n, at + 8);
    file.writeBigInt64LE(BigInt(vaddr), at + 16);
    file.writeBigUInt64LE(BigInt(offset), at + 24);
    file.writeBigUInt64LE(BigInt(bytes.length), at + 32);
    file.writeUInt32LE(link, at + 40);
  });
  return file;
}

function symtab(symbols: readonly MadeSymbol[]): { table: Buffer; strings: Buffer } {
  const table = Buffer.alloc(24 * (symbols.length + 1));
  let strings = "\0";
  symbols.forEach(({ name, vaddr, type }, index) => {
    const at = 24 * (index + 1);
    table.writeUInt32LE(strings.length, at);
    strings += `${name}\0`;
    const isText = type.toUpperCase() === "T";
    table[at + 4] = ((type === type.toUpperCase() ? 1 : 0) << 4) | (isText ? 2 : 1);
    table.writeUInt16LE(1, at + 6);
    table.writeBigInt64LE(BigInt(vaddr), at + 8);
  });
  return { table, strings: Buffer.from(strings) };
}
