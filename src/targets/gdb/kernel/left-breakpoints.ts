import { instructionStarts } from "../../../arch/x86_64/decode.js";
import type { Address } from "../../../base/address.js";
import type { KernelImage } from "../../../symbols/kernel/image.js";
import type { LoadBias, Vaddr } from "../../../symbols/vaddr.js";
import { Alternatives, type AlternativeSite } from "./alternatives.js";

/** A breakpoint that nobody will come back for. */
export interface LeftBreakpoint {
  readonly vaddr: Vaddr;
  /** The byte that stood there; undefined: the kernel has written other instructions there, nobody knows which. */
  readonly original: number | undefined;
}

const INT3 = 0xcc;
const RETURN = 0xc3;
const CALL = 0xe8;
const JUMP = 0xe9;
/** The prefix LOCK, and the segment override that takes its place. */
const LOCK = 0xf0;
const NO_LOCK = 0x3e;
const SHORT_JUMP = 0xeb;
/** The NOPs of five and of two bytes that Linux writes. arch/x86/include/asm/nops.h. */
const NOP5 = [0x0f, 0x1f, 0x44, 0x00, 0x00] as const;
const NOP2 = [0x66, 0x90] as const;
/** What a static call that returns 0 is patched to: `xorl %eax, %eax` with prefixes. arch/x86/kernel/static_call.c. */
const RETURN_ZERO = [0x66, 0x66, 0x48, 0x31, 0xc0] as const;

/**
 * Breakpoints in a running kernel's text that its image has not: bytes 0xCC at the start of an instruction.
 * What the kernel itself writes is told apart: returns and NOPs in place of thunks, alternatives, the
 * breakpoints of its own kprobes.
 *
 * @param start where the live bytes begin
 * @param own   where the guest itself has breakpoints
 * @param slide KASLR's, which stands in some instructions, too
 */
export function leftBreakpoints(
  image: KernelImage,
  start: Vaddr,
  live: Uint8Array,
  own: ReadonlySet<Vaddr>,
  slide: LoadBias,
): LeftBreakpoint[] {
  const linked = image.bytesAt(start, live.length);
  const alternatives = new Alternatives(image);
  const starts = new Starts(image);
  const unlocked = unlockedPlaces(image, start, live);
  const found: LeftBreakpoint[] = [];
  for (let at = live.indexOf(INT3); at >= 0; at = live.indexOf(INT3, at + 1)) {
    if (linked[at] === INT3 || behindReturn(linked, live, at)) continue;
    const vaddr = (start + at) as Vaddr;
    if (own.has(vaddr)) continue;
    const site = alternatives.at(vaddr);
    const form = site && formOf(site, live.subarray(site.start - start), vaddr);
    if (form !== undefined) {
      if (form !== "another") found.push({ vaddr, original: form });
      continue;
    }
    const length = starts.lengthAt(vaddr);
    if (length === undefined) continue;
    const original = patchedOpcode(linked.subarray(at, at + length), live.subarray(at, at + length), slide);
    const isUnlocked = original === LOCK && unlocked.has(vaddr);
    found.push({ vaddr, original: isUnlocked ? NO_LOCK : original });
  }
  return found;
}

/**
 * LOCK prefixes that the kernel has made into nothing, as it does where there is one processor: those of
 * __smp_locks. arch/x86/kernel/alternative.c. None where there are several.
 */
function unlockedPlaces(image: KernelImage, start: Vaddr, live: Uint8Array): ReadonlySet<Vaddr> {
  const places = new Set<Vaddr>();
  const table = image.between("__smp_locks", "__smp_locks_end");
  if (table === undefined) return places;
  const bytes = Buffer.from(image.bytesAt(table.start, table.end - table.start));
  let locked = 0;
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const place = (table.start + at + bytes.readInt32LE(at)) as Vaddr;
    places.add(place);
    if (live[place - start] === LOCK) locked++;
  }
  return locked > places.size / 2 ? new Set() : places;
}

/** `jmp __x86_return_thunk` becomes `ret` and four times INT3 where no thunk is needed: apply_returns(). */
function behindReturn(linked: Uint8Array, live: Uint8Array, at: number): boolean {
  for (let back = 1; back <= 4; back++)
    if (linked[at - back] === JUMP && live[at - back] === RETURN) return true;
  return false;
}

/**
 * The byte that a breakpoint in a place of alternatives took, if the rest of the place shows which one was
 * written there.
 *
 * @param live the text from the place's start on
 * @returns "another" where no instruction begins there; undefined: the rest is like none
 */
function formOf(
  { start, length, forms }: AlternativeSite,
  live: Uint8Array,
  vaddr: Vaddr,
): number | "another" | undefined {
  const at = vaddr - start;
  const form = forms.find((bytes) => {
    for (let index = 0; index < length; index++)
      if (index !== at && live[index] !== bytes[index] && live[index] !== INT3) return false;
    return true;
  });
  if (form === undefined) return undefined;
  const isStart = instructionStarts(form, 0 as Address).starts.includes(at as Address);
  return isStart && form[at] !== INT3 ? form[at] : "another";
}

/**
 * The first byte of an instruction whose other bytes are known: the image's, unless those show that the
 * kernel has written another. Static branches and calls, ftrace, paravirt: arch/x86/kernel/jump_label.c,
 * static_call.c, ftrace.c, alternative.c.
 */
function patchedOpcode(linked: Uint8Array, live: Uint8Array, slide: LoadBias): number | undefined {
  const tailIs = (bytes: readonly number[]): boolean =>
    bytes.length === live.length && bytes.every((byte, index) => index === 0 || byte === live[index]);
  const [opcode] = linked;
  if (opcode === undefined || tailIs([...linked]) || isRelocated(linked, live, slide)) return opcode;
  if (linked.length === 2) {
    if (opcode === SHORT_JUMP && tailIs(NOP2)) return NOP2[0];
    return isStart(linked, NOP2) ? SHORT_JUMP : undefined;
  }
  if (linked.length === 5) {
    if (tailIs(NOP5)) return NOP5[0];
    if (tailIs(RETURN_ZERO)) return RETURN_ZERO[0];
    if (opcode === JUMP && tailIs([RETURN, INT3, INT3, INT3, INT3])) return RETURN;
    if (opcode === JUMP || opcode === CALL) return opcode;
    return undefined; // A NOP that became a jump, or a call: nobody knows.
  }
  // `call *pv_ops+…` becomes a direct call and a NOP.
  const isIndirectCall = linked.length === 6 && opcode === 0xff && linked[1] === 0x15;
  return isIndirectCall && live[5] === 0x90 ? CALL : undefined;
}

/**
 * Does the tail differ by the slide alone? It is added to an absolute address, and taken from what is
 * relative to the instruction and means a per-CPU variable, which does not move. arch/x86/boot/compressed/misc.c.
 */
function isRelocated(linked: Uint8Array, live: Uint8Array, slide: LoadBias): boolean {
  const [from, to] = [linked, live].map(
    (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
  );
  if (from === undefined || to === undefined) return false;
  for (let field = 1; field + 4 <= linked.length; field++) {
    const difference = (to.getInt32(field, true) - from.getInt32(field, true)) | 0;
    if (difference !== (slide | 0) && difference !== ((0 - slide) | 0)) continue;
    const same = (index: number): boolean =>
      (index >= field && index < field + 4) || linked[index] === live[index];
    if (linked.every((_, index) => index === 0 || same(index))) return true;
  }
  return false;
}

function isStart(bytes: Uint8Array, expected: readonly number[]): boolean {
  return expected.every((byte, index) => bytes[index] === byte);
}

/** Where instructions start, by the image; a function is decoded once. */
class Starts {
  private readonly functions = new Map<number, ReadonlyMap<number, number>>();

  constructor(private readonly image: KernelImage) {}

  /** Of the instruction that starts at an address; undefined: none starts there. */
  lengthAt(vaddr: Vaddr): number | undefined {
    const symbol = this.image.symbolAt(vaddr);
    if (symbol === undefined) return undefined;
    let lengths = this.functions.get(symbol.start);
    if (lengths === undefined) {
      lengths = this.decode(symbol.start, symbol.size);
      this.functions.set(symbol.start, lengths);
    }
    return lengths.get(vaddr);
  }

  private decode(start: Vaddr, size: number): ReadonlyMap<number, number> {
    // The decoder's addresses are of no meaning here.
    const { starts, decodedUpTo } = instructionStarts(
      this.image.bytesAt(start, size),
      start as number as Address,
    );
    return new Map(starts.map((at, index) => [at, (starts[index + 1] ?? decodedUpTo) - at]));
  }
}
