import type { Vaddr } from "../vaddr.js";
import { ABSENT, readPointer } from "./encoded-pointer.js";
import type { Fields } from "./fields.js";
import type { ElfFile } from "./file.js";
import type { FrameDescription } from "./frames.js";

/** Where the unwinder can enter an image's functions. */
export interface LandingPads {
  /** In no order. */
  readonly pads: readonly Vaddr[];
  /** Starts of frames whose table is there and cannot be understood: they may be entered anywhere. */
  readonly unread: readonly Vaddr[];
}

/**
 * The landing pads of C++'s exceptions and their like, from the call-site tables that frame descriptions name.
 * (The tables' form is that of GCC's `except.cc` and of the unwinder's `__gxx_personality_v0`; LLVM's exception
 * handling documentation describes it.)
 *
 * @throws TargetError the file is cut short
 */
export function readLandingPads(file: ElfFile, frames: readonly FrameDescription[]): LandingPads {
  const tables = new Tables(file);
  const pads: Vaddr[] = [];
  const unread: Vaddr[] = [];
  for (const { handlers, start } of frames) {
    if (handlers === undefined) continue;
    const reader = tables.readerAt(handlers);
    if (reader === undefined || !addPads(pads, reader, start)) unread.push(start);
  }
  return { pads, unread };
}

/** The segments that tables are in, each read once. */
class Tables {
  private readonly read = new Map<Vaddr, Fields | undefined>();

  constructor(private readonly file: ElfFile) {}

  readerAt(vaddr: Vaddr): Reader | undefined {
    const segment = this.file.loadedSegment(vaddr);
    if (segment === undefined) return undefined;
    let contents = this.read.get(segment.vaddr);
    if (contents === undefined) {
      contents = this.file.contentsAt("tables of exception handlers", segment.vaddr, segment.fileSize);
      this.read.set(segment.vaddr, contents);
    }
    return contents && new Reader(contents, vaddr - segment.vaddr, segment.vaddr);
  }
}

/** @returns false where the table makes no sense */
function addPads(pads: Vaddr[], reader: Reader, functionStart: Vaddr): boolean {
  const startEncoding = reader.byte();
  const start = startEncoding === ABSENT ? functionStart : reader.pointer(startEncoding);
  if (reader.byte() !== ABSENT) reader.leb();
  const encoding = reader.byte();
  const length = reader.leb();
  const end = reader.at + length;
  if (start === undefined) return false;
  while (reader.at < end) {
    reader.pointer(encoding);
    reader.pointer(encoding);
    const pad = reader.pointer(encoding);
    reader.leb();
    if (pad === undefined) return false;
    if (pad !== 0) pads.push((start + pad) as Vaddr);
  }
  return reader.at === end;
}

class Reader {
  constructor(
    private readonly fields: Fields,
    public at: number,
    private readonly base: Vaddr,
  ) {}

  get isOver(): boolean {
    return this.at >= this.fields.length;
  }

  byte(): number {
    return this.isOver ? ABSENT : this.fields.u8(this.at++);
  }

  /** ULEB128. */
  leb(): number {
    let value = 0;
    for (let shift = 0; !this.isOver; shift += 7) {
      const byte = this.fields.u8(this.at++);
      if (shift < 49) value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) break;
    }
    return value;
  }

  pointer(encoding: number): Vaddr | undefined {
    // DW_EH_PE_uleb128, which call-site tables are mostly written in.
    if (encoding === 1) return this.leb() as Vaddr;
    const found = readPointer(this.fields, this.base, this.at, this.fields.length, encoding, undefined);
    if (found === undefined) {
      this.at = this.fields.length;
      return undefined;
    }
    this.at += found.size;
    return found.value;
  }
}
