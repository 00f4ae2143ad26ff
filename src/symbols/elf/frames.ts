import { lastAtOrBefore, type Vaddr } from "../vaddr.js";
import { SEGMENT } from "./facts.js";
import { ABSENT, FORM, readForm, readPointer, sizeOfForm } from "./encoded-pointer.js";
import type { Fields } from "./fields.js";
import type { ElfFile } from "./file.js";

/** A function, or a part of one, as the unwinder knows it: also in a stripped image. */
export interface FrameDescription {
  readonly start: Vaddr;
  /** Bytes. */
  readonly length: number;
  /** Where its table of exception handlers is (the language-specific data area), if it has one. */
  readonly handlers: Vaddr | undefined;
}

/** How the FDEs of a CIE are written. */
interface CieFacts {
  /** Encoding of their start. */
  readonly start: number;
  /** Encoding of the address of their table of handlers; undefined where they have none. */
  readonly handlers: number | undefined;
}

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
  const cies = new Map<number, CieFacts | undefined>();
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
      if (!cies.has(cie)) cies.set(cie, cie < 0 ? undefined : readCie(frames, cie));
      const facts = cies.get(cie);
      const description = facts === undefined ? undefined : readFrame(frames, at, body + 4, next, facts);
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

/** From the augmentation of a CIE. */
function readCie(frames: Fields, cie: number): CieFacts | undefined {
  if (cie + 9 > frames.length || frames.u32(cie + 4) !== 0) return undefined;
  const end = Math.min(frames.length, cie + 4 + frames.u32(cie));
  const version = frames.u8(cie + 8);
  const augmentation = frames.string(cie + 9, MAX_AUGMENTATION);
  let at = cie + 9 + augmentation.length + 1;
  if (version !== 1 && version !== 3) return undefined;
  let start: number = FORM.absolute;
  let handlers: number | undefined;
  if (!augmentation.startsWith("z")) return augmentation === "" ? { start, handlers } : undefined;
  at = skipLeb(frames, at, end); // code alignment
  at = skipLeb(frames, at, end); // data alignment
  at = version === 1 ? at + 1 : skipLeb(frames, at, end); // return address register
  at = skipLeb(frames, at, end); // length of the augmentation's data
  for (const letter of augmentation.slice(1)) {
    if (at >= end) return undefined;
    if (letter === "R") start = frames.u8(at++);
    else if (letter === "L") handlers = frames.u8(at++);
    else if (letter === "P") {
      const size = sizeOfForm(frames.u8(at) & 15);
      if (size === undefined) return undefined;
      at += 1 + size;
    } else if (letter !== "S" && letter !== "B") return undefined;
  }
  return { start, handlers: handlers === ABSENT ? undefined : handlers };
}

const MAX_AUGMENTATION = 16;

function skipLeb(frames: Fields, at: number, end: number): number {
  let next = at;
  while (next < end && (frames.u8(next) & 0x80) !== 0) next += 1;
  return next + 1;
}

function readFrame(
  frames: Fields,
  base: Vaddr,
  at: number,
  end: number,
  facts: CieFacts,
): FrameDescription | undefined {
  const start = readPointer(frames, base, at, end, facts.start, undefined);
  if (start === undefined) return undefined;
  // The length has the same form, relative to nothing.
  const length = readPointer(frames, base, at + start.size, end, facts.start & 7, undefined);
  if (length === undefined || length.value <= 0) return undefined;
  const augmented = skipLeb(frames, at + start.size + length.size, end);
  const handlers =
    facts.handlers === undefined || isZero(frames, augmented, end, facts.handlers)
      ? undefined
      : readPointer(frames, base, augmented, end, facts.handlers, undefined)?.value;
  return { start: start.value, length: length.value, handlers };
}

/** No table is written as nothing but zeros, whatever it would be relative to. */
function isZero(frames: Fields, at: number, end: number, encoding: number): boolean {
  const size = sizeOfForm(encoding & 15);
  if (size === undefined || at + size > end) return true;
  return readForm(frames, at, encoding & 15) === 0;
}
