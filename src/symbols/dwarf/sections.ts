import { inflateSync } from "node:zlib";
import { TargetError } from "../../base/errors.js";
import type { ElfImage } from "../elf/image.js";
import type { ElfSection } from "../elf/header.js";
import { unpackZstd } from "../kernel/payload/zstd.js";
import { Cursor, damage } from "./cursor.js";

/** `Elf64_Chdr` and its `ch_type`. gABI, "Compression header". */
const COMPRESSION_HEADER = 24;
const COMPRESSION = { zlib: 1, zstd: 2 } as const;
/** No compressor does better: what is said to become larger is damaged. RFC 1951 allows 1,032 times. */
const MOST_RATIO = 1100;
const LARGEST = 2 ** 31 - 1;
/** Longest text of a name. */
const MOST_TEXT = 4096;

/** The bytes of a section, read piece by piece where they are not packed. */
export class SectionBytes {
  private whole: Buffer | undefined;

  constructor(
    /** For sentences: `vmlinux, .debug_info`. */
    readonly what: string,
    private readonly elf: ElfImage,
    private readonly section: ElfSection,
  ) {}

  get size(): number {
    return this.section.compressed ? this.all().length : this.section.size;
  }

  /** @throws TargetError not in the section */
  slice(offset: number, length: number): Buffer {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size))
      throw damage(this.what, offset, `the section has 0x${this.size.toString(16)} bytes`);
    if (this.whole !== undefined) return this.whole.subarray(offset, offset + length);
    return this.elf.fileBytes(this.section.offset + offset, length);
  }

  /** All of it, kept from then on: for sections from which many small pieces are asked for. */
  all(): Buffer {
    this.whole ??= this.section.compressed
      ? this.unpacked()
      : this.elf.fileBytes(this.section.offset, this.section.size);
    return this.whole;
  }

  /** Reads from an offset on, of all of it. @throws TargetError outside */
  cursor(offset: number): Cursor {
    const bytes = this.all();
    if (!(offset >= 0 && offset <= bytes.length))
      throw damage(this.what, offset, `the section has 0x${bytes.length.toString(16)} bytes`);
    return new Cursor(bytes, this.what, 0, offset);
  }

  /** A text of a section of them. @throws TargetError outside */
  text(offset: number): string {
    const bytes = this.all();
    if (!(offset >= 0 && offset < bytes.length)) throw damage(this.what, offset, "no text is there");
    const piece = bytes.subarray(offset, offset + MOST_TEXT);
    const end = piece.indexOf(0);
    return piece.toString("utf8", 0, end < 0 ? piece.length : end);
  }

  private unpacked(): Buffer {
    const { what, section } = this;
    const packed = this.elf.fileBytes(section.offset, section.size);
    if (packed.length < COMPRESSION_HEADER) throw damage(what, 0, "it is compressed, and has no header");
    const type = packed.readUInt32LE(0);
    const size = Number(packed.readBigUInt64LE(8));
    const body = packed.subarray(COMPRESSION_HEADER);
    if (size > LARGEST || size > MOST_RATIO * body.length)
      throw damage(what, 8, `${section.size} bytes are said to be ${size}, unpacked`);
    let unpacked: Uint8Array;
    try {
      switch (type) {
        case COMPRESSION.zlib:
          unpacked = inflateSync(body, { maxOutputLength: Math.max(1, size) });
          break;
        case COMPRESSION.zstd: {
          const into = Buffer.alloc(size);
          unpacked = into.subarray(0, unpackZstd(body, into));
          break;
        }
        default:
          throw damage(what, 0, `it is compressed in a way that is not known (${type})`);
      }
    } catch (cause) {
      if (cause instanceof TargetError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TargetError(`${what} is damaged: it cannot be unpacked (${reason})`, { cause });
    }
    if (unpacked.length !== size)
      throw damage(what, 0, `${unpacked.length} bytes come out of it, not ${size}`);
    return Buffer.from(unpacked.buffer, unpacked.byteOffset, unpacked.byteLength);
  }
}

/** Sections of debug information of an ELF file. */
export class DwarfSections {
  private readonly made = new Map<string, SectionBytes | undefined>();

  constructor(private readonly elf: ElfImage) {}

  get path(): string {
    return this.elf.path;
  }

  /** @param name without `.debug_` in front; undefined where there is none with contents */
  find(name: string): SectionBytes | undefined {
    if (this.made.has(name)) return this.made.get(name);
    const full = name.startsWith(".") ? name : `.debug_${name}`;
    const section = this.elf.sections.find((one) => one.name === full && one.type !== NO_BITS);
    const bytes = section && new SectionBytes(`${this.elf.path}, ${full}`, this.elf, section);
    this.made.set(name, bytes);
    return bytes;
  }

  /** @throws TargetError it is not there, and something refers to it */
  get(name: string): SectionBytes {
    const found = this.find(name);
    if (found === undefined) throw new TargetError(`${this.elf.path} is damaged: it has no .debug_${name}`);
    return found;
  }
}

/** `SHT_NOBITS`: a section whose bytes are in another file. */
const NO_BITS = 8;
