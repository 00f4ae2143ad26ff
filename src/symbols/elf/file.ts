import { TargetError } from "../../base/errors.js";
import type { Vaddr } from "../vaddr.js";
import { SECTION, SEGMENT } from "./facts.js";
import { Fields } from "./fields.js";
import { type ElfHeader, type ElfSection, type ElfSegment, parseHeader } from "./header.js";
import type { ByteSource } from "./source.js";

/** An ELF file with its headers read: gives out pieces of it, by section, segment or address. */
export class ElfFile {
  /** What could not be read although the file has it; grows as parts are first asked for. */
  readonly warnings: string[];
  readonly header: ElfHeader;
  /** Bytes given out so far, by {@link piece}. */
  private given = 0;

  /** @throws TargetError as {@link parseHeader}; the source is then still the caller's to close */
  constructor(readonly source: ByteSource) {
    this.header = parseHeader(source);
    this.warnings = [...this.header.warnings];
  }

  segment(type: number): ElfSegment | undefined {
    return this.header.segments.find((segment) => segment.type === type);
  }

  section(name: string): ElfSection | undefined {
    return this.header.sections.find((section) => section.name === name);
  }

  /** A piece of the file. @throws TargetError it is not in the file, or was asked for over and over */
  piece(what: string, offset: number, length: number): Fields {
    // Ten thousand section headers that all claim the whole file must not make us read it ten thousand times.
    if (length <= this.source.size) this.given += length;
    if (this.given > MAX_READINGS * this.source.size + MIN_BUDGET) {
      throw new TargetError(
        `${this.source.name} is damaged: its parts are many times larger together than the file`,
      );
    }
    return new Fields(this.source.read(offset, length), `${this.source.name}, ${what}`);
  }

  segmentContents(type: number, what: string): Fields | undefined {
    const segment = this.segment(type);
    return segment && this.piece(what, segment.offset, segment.fileSize);
  }

  /** Undefined where the section has no contents in the file (SHT_NOBITS). @throws TargetError cut short */
  sectionContents(section: ElfSection): Fields | undefined {
    if (section.type === SECTION.noBits) return undefined;
    return this.piece(section.name, section.offset, section.size);
  }

  /**
   * As many bytes from an address on as its segment has in the file, at most `length`.
   *
   * @returns undefined where no segment loads that address from the file
   * @throws TargetError cut short
   */
  contentsAt(what: string, vaddr: Vaddr, length: number): Fields | undefined {
    const segment = this.loadedSegment(vaddr);
    if (segment === undefined) return undefined;
    const skip = vaddr - segment.vaddr;
    return this.piece(what, segment.offset + skip, Math.min(length, segment.fileSize - skip));
  }

  /** As {@link contentsAt}, as often as one likes: for small pieces of text. */
  bytesAt(vaddr: Vaddr, length: number): Uint8Array | undefined {
    const segment = this.loadedSegment(vaddr);
    if (segment === undefined) return undefined;
    const skip = vaddr - segment.vaddr;
    return this.source.read(segment.offset + skip, Math.min(length, segment.fileSize - skip));
  }

  /** The segment that loads an address from the file. */
  loadedSegment(vaddr: Vaddr): ElfSegment | undefined {
    return this.header.segments.find(
      (one) => one.type === SEGMENT.load && vaddr >= one.vaddr && vaddr < one.vaddr + one.fileSize,
    );
  }

  /** A part of a file that is damaged is as if it were not there; {@link warnings} says which. */
  tolerate<Part>(otherwise: Part, read: () => Part): Part {
    try {
      return read();
    } catch (cause) {
      if (!(cause instanceof TargetError)) throw cause;
      if (this.warnings.length < MAX_WARNINGS && !this.warnings.includes(cause.message))
        this.warnings.push(cause.message);
      return otherwise;
    }
  }
}

const MAX_WARNINGS = 100;
const MAX_READINGS = 32;
const MIN_BUDGET = 1 << 24;
