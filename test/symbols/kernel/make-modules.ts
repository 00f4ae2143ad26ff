import type { BtfWriter } from "../btf/write-btf.js";
import { BtfWriter as Writer } from "../btf/write-btf.js";

/** Memory of a running kernel of our own, with modules in it. */
export interface MadeMemory {
  /** Where `bytes` begin. */
  readonly at: number;
  readonly bytes: Buffer;
}

/** Where the list of modules begins, and the list of their types. */
export const MODULES = -0x7e80_0000;
export const TYPES = MODULES + 16;
/** Where the one module is. */
export const MODULE_TEXT = -0x3f00_0000;
const SIZE = 0x4000;

/** `struct module` of Linux 6.1, or of 6.4 and later: offsets of what a reader wants, in bytes. */
const MODULE = {
  state: 0,
  list: 8,
  name: 24,
  kallsyms: 88,
  syms: 96,
  numSyms: 104,
  memory: 112,
  noinstrStart: 240,
  noinstrSize: 248,
  blacklist: 256,
  numBlacklist: 264,
  size: 272,
} as const;

/** Types that say where in memory everything of a module is. */
export function describeModules(btf: BtfWriter, layout: "6.1" | "6.4", int: number, long: number): void {
  const text = btf.array(btf.integer("char", 1), 56);
  const list = btf.composite("struct", "list_head", 16, [
    ["next", long, 0],
    ["prev", long, 64],
  ]);
  const memory =
    layout === "6.1"
      ? btf.composite("struct", "module_layout", 24, [
          ["base", long, 0],
          ["size", int, 64],
          ["text_size", int, 96],
        ])
      : btf.composite("struct", "module_memory", 16, [
          ["base", long, 0],
          ["size", int, 64],
        ]);
  const place = layout === "6.1" ? memory : btf.array(memory, 7);
  btf.composite("struct", "module", MODULE.size, [
    ["state", int, 8 * MODULE.state],
    ["list", list, 8 * MODULE.list],
    ["name", text, 8 * MODULE.name],
    ["kallsyms", long, 8 * MODULE.kallsyms],
    ["syms", long, 8 * MODULE.syms],
    ["num_syms", int, 8 * MODULE.numSyms],
    [layout === "6.1" ? "core_layout" : "mem", place, 8 * MODULE.memory],
    ["noinstr_text_start", long, 8 * MODULE.noinstrStart],
    ["noinstr_text_size", int, 8 * MODULE.noinstrSize],
    ["kprobe_blacklist", long, 8 * MODULE.blacklist],
    ["num_kprobe_blacklist", int, 8 * MODULE.numBlacklist],
  ]);
  btf.composite("struct", "mod_kallsyms", 32, [
    ["symtab", long, 0],
    ["num_symtab", int, 64],
    ["strtab", long, 128],
    ["typetab", long, 192],
  ]);
  btf.composite("struct", "btf_module", 32, [
    ["list", list, 0],
    ["module", long, 128],
    ["btf", long, 192],
  ]);
  btf.composite("struct", "btf", 16, [
    ["data", long, 0],
    ["data_size", int, 64],
  ]);
}

/** @param kernelTypes numbers and names that the kernel's types end with: the module's go on there */
export function makeModules(
  layout: "6.1" | "6.4",
  kernelTypes: { readonly end: number; readonly stringsEnd: number },
): MadeMemory {
  const bytes = Buffer.alloc(0x200 + SIZE);
  const at = MODULES;
  let free = 0x200;
  const put = (content: Buffer): number => {
    const start = free;
    content.copy(bytes, start);
    free = Math.ceil((start + content.length) / 16) * 16;
    return at + start;
  };
  const pointer = (place: number, value: number): void =>
    void bytes.writeBigInt64LE(BigInt(value), place - at);
  const word = (place: number, value: number): void => void bytes.writeUInt32LE(value, place - at);

  const names = Buffer.from("\0made_open\0made_close\0made_table\0outside\0");
  const symbols = Buffer.alloc(24 * 5);
  [
    ["made_open", MODULE_TEXT, 1],
    ["made_close", MODULE_TEXT + 0x40, 1],
    ["made_table", MODULE_TEXT + 0x1008, 2],
    ["outside", 0, 0],
  ].forEach(([name, vaddr, section], index) => {
    symbols.writeUInt32LE(names.indexOf(`\0${String(name)}\0`) + 1, 24 * (index + 1));
    symbols.writeUInt16LE(Number(section), 24 * (index + 1) + 6);
    symbols.writeBigInt64LE(BigInt(vaddr ?? 0), 24 * (index + 1) + 8);
  });
  const tables = put(Buffer.alloc(32));
  pointer(tables, put(symbols));
  word(tables + 8, 5);
  pointer(tables + 16, put(names));
  pointer(tables + 24, put(Buffer.from("?ttdU")));

  const types = new Writer(kernelTypes.end, kernelTypes.stringsEnd);
  const own = types.composite("struct", "made_state", 8, [["first", 1, 0]]);
  types.type(12, "made_open", types.prototype(own, [["path", own]]), { count: 1 });
  const data = types.bytes();
  const btf = put(Buffer.alloc(16));
  pointer(btf, put(data));
  word(btf + 8, data.length);

  const exports = put(Buffer.alloc(12));
  bytes.writeInt32LE(MODULE_TEXT + 0x40 - exports, exports - at);
  const blacklist = put(Buffer.alloc(8));
  pointer(blacklist, MODULE_TEXT + 0x40);

  const struct = put(Buffer.alloc(MODULE.size));
  pointer(MODULES, struct + MODULE.list);
  pointer(struct + MODULE.list, MODULES);
  bytes.write("made", struct + MODULE.name - at, "latin1");
  pointer(struct + MODULE.kallsyms, tables);
  pointer(struct + MODULE.syms, exports);
  word(struct + MODULE.numSyms, 1);
  pointer(struct + MODULE.memory, MODULE_TEXT);
  if (layout === "6.1") {
    word(struct + MODULE.memory + 8, 0x2000);
    word(struct + MODULE.memory + 12, 0x1000);
  } else {
    word(struct + MODULE.memory + 8, 0x1000);
    pointer(struct + MODULE.memory + 16, MODULE_TEXT + 0x1000);
    word(struct + MODULE.memory + 24, 0x1000);
  }
  pointer(struct + MODULE.noinstrStart, MODULE_TEXT + 0x80);
  word(struct + MODULE.noinstrSize, 0x20);
  pointer(struct + MODULE.blacklist, blacklist);
  word(struct + MODULE.numBlacklist, 1);

  const entry = put(Buffer.alloc(32));
  pointer(TYPES, entry);
  pointer(entry, TYPES);
  pointer(entry + 16, struct);
  pointer(entry + 24, btf);
  return { at, bytes };
}
