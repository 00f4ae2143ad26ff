import type { Vaddr, VaddrRange } from "../vaddr.js";
import type { ElfFile } from "./file.js";

/**
 * A restartable sequence: while the program counter is in `range`, the kernel moves the thread to
 * `abort` instead of preempting it. An instruction of it must never run anywhere else: the kernel
 * would take the sequence for finished. rseq(2); include/uapi/linux/rseq.h.
 */
export interface RestartableSequence {
  /** `start_ip` … `start_ip + post_commit_offset`. */
  readonly range: VaddrRange;
  /** `abort_ip`. The four bytes in front of it are a signature, no instruction. */
  readonly abort: Vaddr;
}

/** `struct rseq_cs`: version, flags, start_ip, post_commit_offset, abort_ip. */
const DESCRIPTOR = { size: 32, start: 8, postCommitOffset: 16, abort: 24 } as const;

/** Sections in which librseq and its like keep descriptors, and pointers to them. */
const DESCRIPTOR_SECTION = "__rseq_cs";
const POINTER_SECTION = "__rseq_cs_ptr_array";
const POINTER_SIZE = 8;

/** @param relocated values that the dynamic linker puts into slots: see {@link RelocationTable.ownValues} */
export function readSequences(
  file: ElfFile,
  relocated: () => ReadonlyMap<Vaddr, Vaddr>,
): RestartableSequence[] {
  const descriptors = entriesOf(file, DESCRIPTOR_SECTION, DESCRIPTOR.size);
  const pointers = entriesOf(file, POINTER_SECTION, POINTER_SIZE);
  if (descriptors.length === 0 && pointers.length === 0) return [];
  const values = relocated();
  const inFile = (slot: Vaddr) => {
    const field = file.contentsAt("a restartable sequence", slot, 8);
    return field?.length === 8 ? field : undefined;
  };
  const pointerAt = (slot: Vaddr) => values.get(slot) ?? inFile(slot)?.vaddr(0);
  const found = new Set(descriptors);
  for (const pointer of pointers) {
    const descriptor = pointerAt(pointer);
    if (descriptor !== undefined) found.add(descriptor);
  }
  const sequences: RestartableSequence[] = [];
  for (const at of found) {
    const start = pointerAt((at + DESCRIPTOR.start) as Vaddr);
    const length = inFile((at + DESCRIPTOR.postCommitOffset) as Vaddr)?.u64(0);
    const abort = pointerAt((at + DESCRIPTOR.abort) as Vaddr);
    // Alignment leaves gaps of zeroes between descriptors.
    if (start === undefined || length === undefined || length === 0 || abort === undefined) continue;
    sequences.push({ range: { start, end: (start + length) as Vaddr }, abort });
  }
  return sequences.sort((one, other) => one.range.start - other.range.start);
}

/** Addresses of the entries of all sections of a name that are in the file. */
function entriesOf(file: ElfFile, name: string, size: number): Vaddr[] {
  const entries: Vaddr[] = [];
  for (const section of file.header.sections) {
    if (!section.allocated || section.name !== name) continue;
    const length = file.sectionContents(section)?.length ?? 0;
    for (let at = 0; at + size <= length; at += size) entries.push((section.vaddr + at) as Vaddr);
  }
  return entries;
}
