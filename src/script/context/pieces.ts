import type { MemoryKind } from "../../ir/ir.js";
import type * as ast from "../ast.js";
import type { Position } from "../position.js";
import { bits, load, number, plus } from "./nodes.js";
import { Unresolved } from "./unresolved.js";

/** One place. */
export type PlainPlace =
  | { readonly in: "memory"; readonly address: ast.Expression }
  /** In a word that is at hand, from a bit on: a register. */
  | { readonly in: "word"; readonly word: ast.Expression; readonly offset: number };

/** A part of a value, where the compiler has taken it apart. */
export interface PartOfPlace {
  readonly bytes: number;
  /** A text: why it is nowhere. */
  readonly place: PlainPlace | string;
}

/**
 * Bits of a variable whose parts are here and there, put together.
 *
 * @param offset in bits, from the first part on
 * @param width  up to 64
 * @throws Unresolved a part that is needed is nowhere
 */
export function bitsOfParts(
  parts: readonly PartOfPlace[],
  offset: number,
  width: number,
  signed: boolean,
  memory: MemoryKind,
  position: Position,
): ast.Expression {
  let whole: ast.Expression | undefined;
  let start = 0;
  let found = 0;
  for (const part of parts) {
    const end = start + 8 * part.bytes;
    const from = Math.max(start, offset);
    const to = Math.min(end, offset + width);
    if (from < to) {
      found += to - from;
      const value = bitsOfPart(part, from - start, to - from, memory, position);
      const shifted = shiftedLeft(value, from - offset, position);
      whole =
        whole === undefined
          ? shifted
          : { kind: "binary", position, operator: "|", left: whole, right: shifted };
    }
    start = end;
  }
  if (whole === undefined || found < width)
    throw new Unresolved("a part of it is nowhere: the compiler has optimised it out", position);
  return bits(whole, 0, width, signed, position);
}

function bitsOfPart(
  { place }: PartOfPlace,
  offset: number,
  width: number,
  memory: MemoryKind,
  position: Position,
): ast.Expression {
  if (typeof place === "string") throw new Unresolved(`a part of it is nowhere: ${place}`, position);
  if (place.in === "word") return bits(place.word, place.offset + offset, width, false, position);
  const first = Math.floor(offset / 8);
  const size = Math.ceil((offset + width) / 8) - first;
  if (size > 8) throw new Unresolved("cannot process >64-bit values", position);
  const bytes = size <= 2 ? (size === 2 ? 2 : 1) : size <= 4 ? 4 : 8;
  const word = load(plus(place.address, BigInt(first), position), bytes, false, memory, position);
  return bits(word, offset - 8 * first, width, false, position);
}

function shiftedLeft(left: ast.Expression, distance: number, position: Position): ast.Expression {
  if (distance === 0) return left;
  return { kind: "binary", position, operator: "<<", left, right: number(BigInt(distance), position) };
}
