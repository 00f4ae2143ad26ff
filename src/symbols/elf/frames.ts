import { lastAtOrBefore, type Vaddr } from "../vaddr.js";
import { SEGMENT } from "./facts.js";
import type { Fields } from "./fields.js";
import type { ElfFile } from "./file.js";

/** A function, or a part of one, as the unwinder knows it: also in a stripped image. */
export interface FrameDescription {
  readonly start: Vaddr;
  /** Bytes. */
  readonly length: number;
}

/** Pointer encodings: low four bits the form, then what it is relative to. LSB 5.0 core, 10.5.1 and 10.6. */
const FORM = { absolute: 0, u16: 2, u32: 3, u64: 4, s16: 10, s32: 11, s64: 12 } as const;
const RELATIVE_TO = { nothing: 0, itself: 0x10, data: 0x30 } as const;
const ABSENT = 0xff;

/** Frame descriptions of a file, from `.eh_frame` or, where section headers were stripped, PT_GNU_EH_FRAME; in order. */
export function readFrames(file: ElfFile): FrameDescription[] {
  const section = file.section(".eh_frame");
  const contents = section && file.sectionContents(section);
  if (section !== undefined && contents !== undefined) return frameDescriptions(contents, section.vaddr);
  const segment = file.segment(SEGMENT.ehFrame);
  const header = file.segmentContents(SEGMENT.ehFrame, ".eh_frame_hdr");
  const start = segment && header && framesFromHeader(header, segment.vaddr);
  const frames = start === undefined ? undefined : file.contentsAt(".eh_frame", start, Infinity);
  return start === undefined || frames === undefined ? [] : frameDescriptions(frames, start);
}

/** @param frames in order of start */
export function frameAt(frames: readonly FrameDescription[], vaddr: Vaddr): FrameDescription | undefined {
  const frame = frames[lastAtOrBefore(frames.length, (index) => frames[index]?.start, vaddr)];
  return frame !== undefined && vaddr < frame.start + frame.length ? frame : undefined;
}

/**
 * Starts and lengths of all FDEs of a `.eh_frame`, in order of start. What cannot be understood
 * is left out; nothing of it can make this fail or run for ever: each round takes 4 bytes or more.
 *
 * @param frames contents, up to a terminator or their end
 * @param at     vaddr of the first byte
 */
function frameDescriptions(frames: Fields, at: Vaddr): FrameDescription[] {
  const encodings = new Map<number, number | undefined>();
  const found: FrameDescription[] = [];
  let entry = 0;
  while (entry + 8 <= frames.length) {
    const length = frames.u32(entry);
    // 0 terminates; 0xffffffff would announce 64-bit lengths, which no x86-64 tool writes here.
    if (length === 0 || length >= 0xfffffff0) break;
    const body = entry + 4;
    const next = body + length;
    if (length < 4 || next > frames.length) break;
    const cieDistance = frames.u32(body);
    if (cieDistance !== 0) {
      const cie = body - cieDistance;
      if (!encodings.has(cie)) encodings.set(cie, cie < 0 ? undefined : encodingOfCie(frames, cie));
      const encoding = encodings.get(cie);
      const description =
        encoding === undefined ? undefined : readRange(frames, at, body + 4, next, encoding);
      if (description !== undefined) found.push(description);
    }
    entry = next;
  }
  return found.sort((one, other) => one.start - other.start);
}

/** Where the frames of an image start, from the contents of PT_GNU_EH_FRAME (`.eh_frame_hdr`) at a vaddr. */
function framesFromHeader(header: Fields, at: Vaddr): Vaddr | undefined {
  if (header.length < 4 || header.u8(0) !== 1) return undefined;
  return readPointer(header, at, 4, header.length, header.u8(1), at)?.value;
}

/** How FDEs of a CIE write their start, from its augmentation. */
function encodingOfCie(frames: Fields, cie: number): number | undefined {
  if (cie + 9 > frames.length || frames.u32(cie + 4) !== 0) return undefined;
  const end = Math.min(frames.length, cie + 4 + frames.u32(cie));
  const version = frames.u8(cie + 8);
  const augmentation = frames.string(cie + 9, MAX_AUGMENTATION);
  let at = cie + 9 + augmentation.length + 1;
  if (version !== 1 && version !== 3) return undefined;
  if (!augmentation.startsWith("z")) return augmentation === "" ? FORM.absolute : undefined;
  at = skipLeb(frames, at, end); // code alignment
  at = skipLeb(frames, at, end); // data alignment
  at = version === 1 ? at + 1 : skipLeb(frames, at, end); // return address register
  at = skipLeb(frames, at, end); // length of the augmentation's data
  for (const letter of augmentation.slice(1)) {
    if (at >= end) return undefined;
    if (letter === "R") return frames.u8(at);
    if (letter === "L") at += 1;
    else if (letter === "P") {
      const size = sizeOfForm(frames.u8(at) & 15);
      if (size === undefined) return undefined;
      at += 1 + size;
    } else if (letter !== "S" && letter !== "B") return undefined;
  }
  return FORM.absolute;
}

const MAX_AUGMENTATION = 16;

function skipLeb(frames: Fields, at: number, end: number): number {
  let next = at;
  while (next < end && (frames.u8(next) & 0x80) !== 0) next += 1;
  return next + 1;
}

function readRange(
  frames: Fields,
  base: Vaddr,
  at: number,
  end: number,
  encoding: number,
): FrameDescription | undefined {
  const start = readPointer(frames, base, at, end, encoding, undefined);
  if (start === undefined) return undefined;
  // The length has the same form, relative to nothing.
  const length = readPointer(frames, base, at + start.size, end, encoding & 7, undefined);
  if (length === undefined || length.value <= 0) return undefined;
  return { start: start.value, length: length.value };
}

function readPointer(
  fields: Fields,
  base: Vaddr,
  at: number,
  end: number,
  encoding: number,
  dataStart: Vaddr | undefined,
): { value: Vaddr; size: number } | undefined {
  if (encoding === ABSENT) return undefined;
  const form = encoding & 15;
  const size = sizeOfForm(form);
  if (size === undefined || at + size > end) return undefined;
  const raw = readForm(fields, at, form);
  switch (encoding & 0x70) {
    case RELATIVE_TO.nothing:
      return { value: raw as Vaddr, size };
    case RELATIVE_TO.itself:
      return { value: (base + at + raw) as Vaddr, size };
    case RELATIVE_TO.data:
      return dataStart === undefined ? undefined : { value: (dataStart + raw) as Vaddr, size };
    default:
      return undefined;
  }
}

function sizeOfForm(form: number): number | undefined {
  switch (form) {
    case FORM.u16:
    case FORM.s16:
      return 2;
    case FORM.u32:
    case FORM.s32:
      return 4;
    case FORM.absolute:
    case FORM.u64:
    case FORM.s64:
      return 8;
    default:
      return undefined;
  }
}

function readForm(fields: Fields, at: number, form: number): number {
  switch (form) {
    case FORM.u16:
      return fields.u16(at);
    case FORM.s16:
      return (fields.u16(at) << 16) >> 16;
    case FORM.u32:
      return fields.u32(at);
    case FORM.s32:
      return fields.i32(at);
    default:
      return fields.i64(at);
  }
}
