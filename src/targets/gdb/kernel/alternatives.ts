import { instructionStarts } from "../../../arch/x86_64/decode.js";
import type { Address } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import type { Vaddr } from "../../../symbols/vaddr.js";

/** A place that the kernel may write other instructions to when it boots. */
export interface AlternativeSite {
  readonly start: Vaddr;
  readonly length: number;
  /** What may stand there, byte for byte; the first is what the image has. */
  readonly forms: readonly Uint8Array[];
}

/** struct alt_instr of Linux 5.17 to 6.2: two offsets, a feature, two lengths; arch/x86/include/asm/alternative.h. */
const PLAIN = { instr: 0, repl: 4, instrLength: 10, replLength: 11, size: 12 } as const;

const NOP = 0x90;
const CALL = 0xe8;
const JUMP = 0xe9;
const SHORT_JUMP = 0xeb;

/** NOPs by their length; longer room is filled with the longest. arch/x86/include/asm/nops.h. */
const NOPS: readonly (readonly number[])[] = [
  [],
  [0x90],
  [0x66, 0x90],
  [0x0f, 0x1f, 0x00],
  [0x0f, 0x1f, 0x40, 0x00],
  [0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
  [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
  [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/** The table of alternatives of a kernel, by address. */
export class Alternatives {
  private readonly sites: readonly AlternativeSite[];
  private readonly longest: number;

  constructor(image: KernelImage) {
    this.sites = readSites(image);
    this.longest = this.sites.reduce((most, { length }) => Math.max(most, length), 0);
  }

  /** The site that an address is in. */
  at(vaddr: Vaddr): AlternativeSite | undefined {
    let [low, high] = [0, this.sites.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.sites[middle]?.start ?? Infinity) <= vaddr) low = middle + 1;
      else high = middle;
    }
    // Sites do not overlap, but one may begin where another, longer one began.
    for (let index = low - 1; index >= 0; index--) {
      const site = this.sites[index];
      if (site === undefined || site.start + this.longest <= vaddr) return undefined;
      if (vaddr < site.start + site.length) return site;
    }
    return undefined;
  }
}

function readSites(image: KernelImage): AlternativeSite[] {
  const table = image.between("__alt_instructions", "__alt_instructions_end");
  if (table === undefined) return [];
  const layout = layoutOf(image);
  const bytes = Buffer.from(image.bytesAt(table.start, table.end - table.start));
  const sites = new Map<number, { length: number; replacements: { at: number; bytes: Uint8Array }[] }>();
  for (let entry = 0; entry + layout.size <= bytes.length; entry += layout.size) {
    const here = table.start + entry;
    // Both are relative to the field that holds them.
    const start = here + layout.instr + bytes.readInt32LE(entry + layout.instr);
    const at = here + layout.repl + bytes.readInt32LE(entry + layout.repl);
    const site = sites.get(start) ?? { length: 0, replacements: [] };
    site.length = Math.max(site.length, bytes.readUInt8(entry + layout.instrLength));
    const length = bytes.readUInt8(entry + layout.replLength);
    site.replacements.push({ at, bytes: image.bytesAt(at as Vaddr, length) });
    sites.set(start, site);
  }
  return [...sites]
    .map(([start, { length, replacements }]) => {
      const linked = image.bytesAt(start as Vaddr, length);
      const written = replacements.map(({ at, bytes: code }) => moved(code, at, start, length));
      return { start: start as Vaddr, length, forms: [linked, withLongNops(linked), ...written] };
    })
    .sort((one, other) => one.start - other.start);
}

/**
 * A replacement as the kernel writes it: a call's or a jump's target stays where it is, a jump is short where
 * it can be, and what remains is filled with NOPs. arch/x86/kernel/alternative.c, apply_alternatives().
 */
function moved(code: Uint8Array, from: number, to: number, length: number): Uint8Array {
  const all = new Uint8Array(length).fill(NOP);
  all.set(code.subarray(0, length));
  if (code.length === 5 && (code[0] === CALL || code[0] === JUMP)) {
    const view = new DataView(all.buffer);
    const target = from + 5 + view.getInt32(1, true);
    const near = target - (to + 2);
    if (code[0] === JUMP && near >= -128 && near <= 127) {
      all.fill(NOP);
      all[0] = SHORT_JUMP;
      view.setInt8(1, near);
    } else view.setInt32(1, target - (to + 5), true);
  }
  return withLongNops(all);
}

/** Runs of one-byte NOPs become long ones: optimize_nops() of the same file. */
function withLongNops(code: Uint8Array): Uint8Array {
  const all = code.slice();
  const { starts, decodedUpTo } = instructionStarts(code, 0 as Address);
  const isNop = new Set(
    starts.filter(
      (at) => code[at] === NOP && (starts.includes((at + 1) as Address) || at + 1 === decodedUpTo),
    ),
  );
  for (let at = 0; at < all.length; at++) {
    let run = 0;
    while (isNop.has((at + run) as Address)) run++;
    if (run > 1) all.set(nops(run), at);
    at += run;
  }
  return all;
}

function nops(length: number): number[] {
  const longest = NOPS.length - 1;
  const all: number[] = [];
  while (all.length < length) all.push(...(NOPS[Math.min(length - all.length, longest)] ?? []));
  return all;
}

/** The struct's layout, as the kernel's types have it. */
function layoutOf(image: KernelImage): Record<keyof typeof PLAIN, number> {
  const [instr, repl, instrLength, replLength] = [
    "instr_offset",
    "repl_offset",
    "instrlen",
    "replacementlen",
  ].map((member) => image.placeOf("alt_instr", member)?.offset);
  if (instr === undefined || repl === undefined || instrLength === undefined || replLength === undefined)
    return PLAIN;
  // Packed, and the lengths are its last members.
  return { instr, repl, instrLength, replLength, size: Math.max(instrLength, replLength) + 1 };
}
