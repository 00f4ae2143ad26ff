import type { Address } from "../../base/address.js";
import type { LoadBias } from "../vaddr.js";
import { SEGMENT } from "./facts.js";
import type { ElfSegment } from "./header.js";

/** What must be known of a mapping of a target to find an image in it. */
export interface MappedPiece {
  readonly start: Address;
  readonly end: Address;
  /** Offset in the file, bytes. */
  readonly offset: number;
  readonly executable: boolean;
  readonly path: string;
}

const PAGE = 4096;

/**
 * Where an image lies in an address space: one bias for each time that its text is mapped
 * (dlmopen maps a library more than once), in order of address.
 *
 * @param mappings of this image's file only
 */
export function loadBiases(
  type: "EXEC" | "DYN",
  segments: readonly ElfSegment[],
  mappings: readonly MappedPiece[],
): LoadBias[] {
  if (type === "EXEC") return mappings.length === 0 ? [] : [0 as LoadBias];
  const loaded = segments.filter((segment) => segment.type === SEGMENT.load);
  const text = biasesOf(
    loaded.filter((segment) => segment.executable),
    mappings.filter((mapping) => mapping.executable),
  );
  // No text is mapped executable while the program is changing its protection, or before its loader is done.
  return text.length > 0 ? text : biasesOf(loaded, mappings).slice(0, 1);
}

function biasesOf(segments: readonly ElfSegment[], mappings: readonly MappedPiece[]): LoadBias[] {
  const biases = new Set<number>();
  for (const mapping of mappings) {
    const segment = segments.find((one) => holdsOffset(one, mapping.offset));
    // A mapping that mprotect has split starts within its segment; the difference is the same.
    if (segment !== undefined) biases.add(mapping.start - (segment.vaddr - segment.offset + mapping.offset));
  }
  return [...biases].sort((one, other) => one - other) as LoadBias[];
}

function holdsOffset(segment: ElfSegment, offset: number): boolean {
  const first = Math.floor(segment.offset / PAGE) * PAGE;
  return offset >= first && offset < segment.offset + segment.fileSize;
}
