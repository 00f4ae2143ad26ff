import type { CompositeType, Type } from "../../src/symbols/types/type.js";
import {
  array,
  BOOL,
  CHAR,
  INT,
  LONG,
  pointer,
  SHORT,
  struct,
  U8,
  UINT,
  ULONG,
  union,
  USHORT,
  VOID,
} from "./types.js";

/** Random C types, as C text and as the types that a script reads by. */

/** Numbers from a seed: mulberry32, of the public domain. */
export class Dice {
  constructor(private state: number) {}

  /** 0 … sides - 1. */
  roll(sides: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  }

  pick<T>(from: readonly T[]): T {
    // The list has elements.
    return from[this.roll(from.length)] as T;
  }
}

/** An integer that a value has in it. */
export interface Leaf {
  /** Behind the value in C: `.a.b[1]`. */
  readonly inC: string;
  /** Behind a variable in a script: `->a->b[1]`. */
  readonly inScript: string;
  readonly isBool: boolean;
}

const SCALARS = [
  { text: "char", type: CHAR },
  { text: "unsigned char", type: U8 },
  { text: "_Bool", type: BOOL },
  { text: "short", type: SHORT },
  { text: "unsigned short", type: USHORT },
  { text: "int", type: INT },
  { text: "unsigned int", type: UINT },
  { text: "long", type: LONG },
  { text: "unsigned long", type: ULONG },
  { text: "void *", type: pointer(VOID) },
] as const;

export interface RandomStruct {
  readonly type: CompositeType;
  /** Its definition, for `struct NAME DEFINITION;`. */
  readonly definition: string;
  readonly leaves: readonly Leaf[];
}

export function randomScalar(dice: Dice): (typeof SCALARS)[number] {
  return dice.pick(SCALARS);
}

/** @param most members */
export function randomStruct(dice: Dice, name: string, most: number, depth = 2): RandomStruct {
  return randomComposite(dice, "struct", name, most, depth);
}

function randomComposite(
  dice: Dice,
  kind: "struct" | "union",
  name: string,
  most: number,
  depth: number,
): RandomStruct {
  const fields: (readonly [name: string, type: Type, bits?: number])[] = [];
  const lines: string[] = [];
  const leaves: Leaf[] = [];
  const count = 1 + dice.roll(most);
  for (let index = 0; index < count; index++) {
    const member = `${name}_${String(index)}`;
    const what = dice.roll(depth > 0 ? 10 : 6);
    if (what >= 7) {
      const inner = randomComposite(dice, what === 7 ? "union" : "struct", member, 3, depth - 1);
      const anonymous = what === 9;
      fields.push([anonymous ? "" : member, inner.type]);
      lines.push(`${inner.type.kind} ${inner.definition} ${anonymous ? "" : member};`);
      for (const leaf of inner.leaves)
        leaves.push(
          anonymous
            ? leaf
            : { ...leaf, inC: `.${member}${leaf.inC}`, inScript: `->${member}${leaf.inScript}` },
        );
      continue;
    }
    const scalar = randomScalar(dice);
    const isBool = scalar.type === BOOL;
    const leaf = (suffix: string, bool = isBool): Leaf => ({
      inC: `.${member}${suffix}`,
      inScript: `->${member}${suffix}`,
      isBool: bool,
    });
    if (what < 3 && scalar.type.kind === "integer") {
      const bits = isBool ? 1 : 1 + dice.roll(8 * scalar.type.size);
      fields.push([member, scalar.type, bits]);
      lines.push(`${scalar.text} ${member} : ${String(bits)};`);
      leaves.push(leaf("", false));
    } else if (what === 3) {
      const length = 1 + dice.roll(3);
      fields.push([member, array(scalar.type, length)]);
      lines.push(`${scalar.text} ${member}[${String(length)}];`);
      for (let at = 0; at < length; at++) leaves.push(leaf(`[${String(at)}]`));
    } else {
      fields.push([member, scalar.type]);
      lines.push(`${scalar.text} ${member};`);
      leaves.push(leaf(""));
    }
  }
  const type = kind === "struct" ? struct(name, fields) : union(name, fields);
  return { type, definition: `{ ${lines.join(" ")} }`, leaves };
}
