import type { Vaddr, VaddrRange } from "../vaddr.js";

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
export const DESCRIPTOR = { size: 32, start: 8, postCommitOffset: 16, abort: 24 } as const;

/** Sections that librseq and its like keep descriptors, and pointers to them, in. */
export const DESCRIPTOR_SECTION = "__rseq_cs";
export const POINTER_SECTION = "__rseq_cs_ptr_array";

/**
 * @param descriptors where descriptors stand
 * @param pointerAt   the pointer in a slot as the dynamic linker will have put it there
 * @param numberAt    the number in a slot; undefined where the file has none there
 */
export function readSequences(
  descriptors: Iterable<Vaddr>,
  pointerAt: (slot: Vaddr) => Vaddr | undefined,
  numberAt: (slot: Vaddr) => number | undefined,
): RestartableSequence[] {
  const sequences: RestartableSequence[] = [];
  for (const at of new Set(descriptors)) {
    const start = pointerAt((at + DESCRIPTOR.start) as Vaddr);
    const length = numberAt((at + DESCRIPTOR.postCommitOffset) as Vaddr);
    const abort = pointerAt((at + DESCRIPTOR.abort) as Vaddr);
    if (start === undefined || length === undefined || abort === undefined) continue;
    // Alignment leaves gaps of zeroes between descriptors.
    if (length === 0) continue;
    sequences.push({ range: { start, end: (start + length) as Vaddr }, abort });
  }
  return sequences.sort((one, other) => one.range.start - other.range.start);
}
