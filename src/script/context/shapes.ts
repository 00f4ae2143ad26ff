import type { Field, Shape } from "../../ir/shape.js";
import { resolved, type Type, type TypeNames } from "../../symbols/types/type.js";
import { defined, isCharacter, sizeOf } from "./sizes.js";

/** How many values one text shows, and how many elements of an array: SystemTap's own bounds. */
const MOST_VALUES = 32;
const MOST_ELEMENTS = 5;

const UNKNOWN: Shape = { kind: "text", text: "?" };

/**
 * How a value of a type is shown.
 *
 * @param deep `$$`: also what is in its structures and arrays
 */
export function shapeOf(type: Type, deep: boolean, types: TypeNames): Shape {
  return new Shapes(deep, types).of(type, true);
}

class Shapes {
  private values = 0;

  constructor(
    private readonly deep: boolean,
    private readonly types: TypeNames,
  ) {}

  /** @param top it is the whole that is shown, not a part */
  of(type: Type, top: boolean): Shape {
    const plain = resolved(type);
    switch (plain.kind) {
      case "integer":
        if (isCharacter(plain)) return this.value({ kind: "character" });
        return this.number(plain, undefined);
      case "enum":
        return this.number(plain, undefined);
      case "pointer": {
        const to = resolved(plain.to);
        return this.value(isCharacter(to) ? { kind: "pointed-string" } : { kind: "address", prefix: "" });
      }
      case "array":
        return this.array(plain, top);
      case "struct":
      case "union":
        if (!top && !this.deep) return { kind: "text", text: "{...}" };
        return this.record(plain);
      case "void":
      case "function":
      case "float":
        return UNKNOWN;
    }
  }

  private number(
    type: { readonly size: number; readonly signed: boolean },
    bits: { readonly offset: number; readonly width: number } | undefined,
  ): Shape {
    if (type.size > 8) return UNKNOWN;
    return this.value({ kind: "number", bytes: type.size, signed: type.signed, bits });
  }

  private value(shape: Shape): Shape {
    this.values++;
    return shape;
  }

  private array(type: Extract<Type, { kind: "array" }>, top: boolean): Shape {
    if (!top && !this.deep) return { kind: "text", text: "[...]" };
    if (isCharacter(type.of)) return this.value({ kind: "string", length: type.length });
    const stride = sizeOf(type.of, this.types);
    if (stride === undefined) return UNKNOWN;
    const before = this.values;
    const element = this.of(type.of, false);
    const room = Math.max(1, Math.floor((MOST_VALUES - before) / Math.max(1, this.values - before)));
    const count = Math.min(type.length, MOST_ELEMENTS, room);
    this.values = before + (this.values - before) * count;
    return { kind: "list", element, stride, count, more: count < type.length };
  }

  private record(type: Extract<Type, { kind: "struct" | "union" }>): Shape {
    const whole = defined(type, this.types);
    if (whole === undefined) return { kind: "text", text: "{...}" };
    const fields: Field[] = [];
    for (const member of whole.members) {
      if (this.values >= MOST_VALUES) return { kind: "record", fields, more: true };
      const plain = resolved(member.type);
      // Padding.
      if (member.name === "" && plain.kind !== "struct" && plain.kind !== "union") continue;
      const label = member.name === "" ? `<${plain.kind}>` : `.${member.name}`;
      fields.push({ label, ...this.member(member.type, member.bitOffset, member.bitSize) });
    }
    return { kind: "record", fields, more: false };
  }

  private member(type: Type, bitOffset: number, bitSize: number | undefined): Omit<Field, "label"> {
    const plain = resolved(type);
    if (bitSize === undefined) return { offset: Math.floor(bitOffset / 8), shape: this.of(plain, false) };
    const offset = Math.floor(bitOffset / 8);
    if (plain.kind !== "integer" && plain.kind !== "enum") return { offset, shape: UNKNOWN };
    const bits = { offset: bitOffset % 8, width: bitSize };
    const size = Math.ceil((bits.offset + bits.width) / 8);
    return { offset, shape: this.number({ size, signed: plain.signed }, bits) };
  }
}
