import type { Address } from "../../base/address.js";
import { SECTION_INDEX, SYMBOL_SIZE } from "../elf/facts.js";
import { vaddrIn } from "../elf/fields.js";
import { readLive, readSomeLive, type LiveMemory } from "./live.js";
import type { SymbolColumns } from "./symbol-index.js";

/** A module's symbols as the kernel keeps them for kallsyms: `struct mod_kallsyms`. */
export interface ModuleTables {
  readonly symbols: Address;
  readonly count: number;
  readonly strings: Address;
  /** A letter for each, as nm(1) has it; undefined in kernels before Linux 5.2. */
  readonly letters: Address | undefined;
}

/** The largest modules have some ten thousand. */
const MOST_SYMBOLS = 1 << 19;
const MOST_NAME_BYTES = 1 << 25;
/** KSYM_NAME_LEN. */
const MOST_CHARACTERS = 512;

/**
 * @param exported addresses: their symbols' letters are large, the others' small, as /proc/kallsyms has them
 * @throws TargetError they cannot be read, or are damaged
 */
export function moduleColumns(
  memory: LiveMemory,
  tables: ModuleTables,
  module: string,
  exported: ReadonlySet<number>,
): SymbolColumns {
  const { symbols, count, strings, letters } = tables;
  const what = `the symbols of module ${module}`;
  const wanted = Math.min(count, MOST_SYMBOLS);
  const table = readLive(memory, symbols, wanted * SYMBOL_SIZE, what);
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const kinds = letters === undefined ? undefined : readLive(memory, letters, wanted, what);

  const found: number[] = [];
  let lastName = 0;
  for (let index = 1; index < wanted; index += 1) {
    const name = view.getUint32(index * SYMBOL_SIZE, true);
    const section = view.getUint16(index * SYMBOL_SIZE + 6, true);
    if (name === 0 || name > MOST_NAME_BYTES || section === SECTION_INDEX.undefined) continue;
    lastName = Math.max(lastName, name);
    found.push(index);
  }
  // Nothing says how long the strings are: up to the end of the last that is used.
  const names = readSomeLive(memory, strings, lastName + MOST_CHARACTERS);
  const addressOf = (index: number): number => vaddrIn(view, index * SYMBOL_SIZE + 8);
  // Offsets of per-CPU variables are no addresses: first, as the kernel's own kallsyms has them.
  const rank = (address: number): number => (address >= 0 ? address - 2 ** 50 : address);
  found.sort((one, other) => rank(addressOf(one)) - rank(addressOf(other)) || one - other);
  const absolute = found.findIndex((index) => addressOf(index) < 0);
  return {
    count: found.length,
    addresses: Float64Array.from(found, addressOf),
    absolute: absolute < 0 ? found.length : absolute,
    name: (position) => {
      const start = view.getUint32((found[position] ?? 0) * SYMBOL_SIZE, true);
      const piece = names.subarray(start, start + MOST_CHARACTERS);
      const end = piece.indexOf(0);
      return piece.toString("utf8", 0, end < 0 ? piece.length : end);
    },
    type: (position) => {
      const index = found[position] ?? 0;
      const letter = String.fromCharCode(kinds?.[index] ?? 0x3f);
      return exported.has(addressOf(index)) ? letter.toUpperCase() : letter.toLowerCase();
    },
  };
}
