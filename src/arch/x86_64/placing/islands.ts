import type { Address } from "../../../base/address.js";
import { JumpTargets } from "../trampoline/jump-bytes.js";
import type { CodeEntries, TextRange } from "./code-entries.js";
import { isFiller, NEAR_JUMP, SHORT_JUMP } from "./jump-planner.js";

/** How far back a short jump leads, from behind it. */
const BACKWARD = -128;

/**
 * The room between the functions of an image, filled by the linker for alignment: where a jump of two bytes finds
 * one of five to lead it on. Each piece is given once.
 */
export class Islands {
  /** Free pieces, ascending; a piece that was given is cut out of one. */
  private readonly pieces: { start: number; readonly end: number }[];

  /**
   * @param functions in order; what lies between two of them and is filler is room
   * @param bytesAt   as many as there are
   */
  constructor(
    functions: readonly TextRange[],
    entries: CodeEntries,
    bytesAt: (at: number, length: number) => Uint8Array,
  ) {
    const pieces: { start: number; end: number }[] = [];
    for (const { end } of functions) {
      const next = entries.nextStart(end - 1);
      const length = next - end;
      if (length < NEAR_JUMP || length > LONGEST_GAP || !entries.isCode(end)) continue;
      let isEntered = false;
      for (let at = end; at < next; at++) isEntered ||= entries.has(at) && at !== next;
      if (!isEntered && isFiller(bytesAt(end, length), 0, length)) pieces.push({ start: end, end: next });
    }
    this.pieces = pieces.sort((one, other) => one.start - other.start);
  }

  /**
   * Takes one that a short jump reaches; undefined where there is none (left).
   * @param inner offsets from the jump where instructions began: its byte there must trap
   */
  take(from: number, inner: readonly number[]): number | undefined {
    const targets = new JumpTargets(from as Address, SHORT_JUMP, inner);
    const behind = from + SHORT_JUMP;
    let low = 0;
    let high = this.pieces.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.pieces[middle]?.end ?? 0) <= behind + BACKWARD) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.pieces.length; index++) {
      const piece = this.pieces[index];
      const at = piece && targets.next(piece.start as Address);
      if (piece === undefined || at === undefined) return undefined;
      if (at + NEAR_JUMP > piece.end) continue;
      const before = { start: piece.start, end: at };
      piece.start = at + NEAR_JUMP;
      if (before.end - before.start >= NEAR_JUMP) this.pieces.splice(index, 0, before);
      return at;
    }
    return undefined;
  }
}

/** Sections begin at multiples of 16 or 32; what is longer is something else. */
const LONGEST_GAP = 128;
