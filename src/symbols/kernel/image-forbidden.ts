import type { RefusalReason } from "../../base/refusals.js";
import type { Vaddr, VaddrRange } from "../vaddr.js";
import { type ForbiddenTable, ForbiddenText } from "./forbidden.js";
import type { KernelSymbolAt } from "./symbol-index.js";

/** What an image is asked, to tell where no probe may be. */
export interface ForbiddenSource {
  readonly text: readonly VaddrRange[];
  section(name: string): VaddrRange | undefined;
  between(first: string, behind: string): VaddrRange | undefined;
  symbolAt(vaddr: Vaddr): KernelSymbolAt | undefined;
  bytesAt(vaddr: Vaddr, length: number): Uint8Array;
}

/** Stretches of text between two symbols. Linux, include/asm-generic/vmlinux.lds.h. */
const STRETCHES: readonly (readonly [reason: RefusalReason, start: string, end: string])[] = [
  ["noinstr-text", "__noinstr_text_start", "__noinstr_text_end"],
  ["entry-text", "__entry_text_start", "__entry_text_end"],
  ["kprobe-blacklist", "__kprobes_text_start", "__kprobes_text_end"],
  ["init-text", "_sinittext", "_einittext"],
];

/** Sections whose code is not there when the kernel runs, or is never run where it lies. */
const SECTIONS: readonly (readonly [reason: RefusalReason, name: string])[] = [
  ["init-text", ".init.text"],
  ["init-text", ".exit.text"],
  ["init-text", ".altinstr_aux"],
  ["alternative-text", ".altinstr_replacement"],
];

/**
 * Tables of places that the kernel patches while it runs: struct jump_entry (include/linux/jump_label.h)
 * and struct static_call_site (include/linux/static_call_types.h), and their sizes.
 */
const PATCHED: readonly (readonly [start: string, end: string, entrySize: number])[] = [
  ["__start___jump_table", "__stop___jump_table", 16],
  ["__start_static_call_sites", "__stop_static_call_sites", 8],
];

/** Where in the text of a kernel's image no probe may be. */
export function forbiddenText(image: ForbiddenSource): ForbiddenText {
  const bytesOf = ({ start, end }: VaddrRange): Uint8Array => image.bytesAt(start, end - start);
  const named = [
    ...STRETCHES.map(([reason, start, end]) => ({ reason, range: image.between(start, end) })),
    ...SECTIONS.map(([reason, name]) => ({ reason, range: image.section(name) })),
  ];
  const patched = PATCHED.flatMap(([start, end, entrySize]): ForbiddenTable[] => {
    const range = image.between(start, end);
    return range === undefined ? [] : [{ bytes: bytesOf(range), start: range.start, entrySize }];
  });
  const blacklist = image.between("__start_kprobe_blacklist", "__stop_kprobe_blacklist");
  return new ForbiddenText({
    text: image.text,
    stretches: named.flatMap(({ reason, range }) => (range === undefined ? [] : [{ reason, ...range }])),
    blacklist: blacklist && bytesOf(blacklist),
    patched,
    symbolAt: (vaddr) => image.symbolAt(vaddr),
    byteAt: (vaddr) => image.bytesAt(vaddr, 1)[0],
  });
}
