import type { MemoryKind } from "../../ir/ir.js";
import {
  type CompositeType,
  type Member,
  type PointerType,
  resolved,
  type Type,
  type TypeNames,
} from "../../symbols/types/type.js";
import { nearest } from "../../base/closest.js";
import type * as ast from "../ast.js";
import type { Position } from "../position.js";
import { bits, element, literal, load, plus } from "./nodes.js";
import { bitsOfParts, type PartOfPlace, type PlainPlace } from "./pieces.js";
import { shapeOf } from "./shapes.js";
import { defined, isCharacter, sizeOf } from "./sizes.js";
import { typeText } from "./type-text.js";
import { Unresolved } from "./unresolved.js";

/** Where a value is while the steps behind a context variable are followed. */
export type Place =
  | PlainPlace
  /** Parts of it are here and there; from a bit on. */
  | { readonly in: "pieces"; readonly parts: readonly PartOfPlace[]; readonly offset: number };

/** How many alternatives an error names. */
const MOST_ALTERNATIVES = 5;

/** Follows `->member` and `[index]`, and fetches what is there. Types are C's, words are SystemTap's. */
export class PlaceWalk {
  /** Bits within the place, where the last member was a bit field. */
  private field: { readonly offset: number; readonly width: number } | undefined;

  constructor(
    private place: Place,
    private at: Type,
    private readonly types: TypeNames,
    private readonly memory: MemoryKind,
    private readonly position: Position,
  ) {}

  /** The type of what is here. */
  get type(): Type {
    return this.at;
  }

  step(step: ast.ContextStep): void {
    if (step.kind === "member") this.member(step.name, step.position);
    else this.index(step.index, step.position);
  }

  /** `[index]` of what `@cast` was given: it points to the first of many. */
  indexOfMany(index: ast.Expression, position: Position): boolean {
    const { kind } = resolved(this.at);
    if (kind === "pointer" || kind === "array") return false;
    this.element(this.at, index, position);
    return true;
  }

  /** Its value, or its address where `&` stands in front. */
  fetch(address: boolean, last: Position): ast.Expression {
    if (address) return this.address();
    const plain = resolved(this.at);
    switch (plain.kind) {
      case "integer":
      case "enum":
        return this.integer(plain);
      case "pointer":
        return this.integer({ size: 8, signed: false });
      case "array":
        return this.address();
      case "struct":
      case "union": {
        const member = defined(plain, this.types)?.members.find(({ name }) => name !== "")?.name;
        const such = member === undefined ? "" : ` such as '->${member}'`;
        throw new Unresolved(`'${typeText(plain)}' is being accessed instead of a member${such}`, last);
      }
      case "float":
        throw new Unresolved(`unsupported type: floating-point numbers ('${plain.name}')`, last);
      case "void":
      case "function":
        throw new Unresolved(`unsupported type for a value: '${typeText(plain)}'`, last);
    }
  }

  /** A text of it: `$` and `$$`. */
  show(deep: boolean): ast.Expression {
    const { position } = this;
    for (let plain = resolved(this.at); plain.kind === "pointer"; plain = resolved(this.at)) {
      const to = resolved(plain.to);
      if (to.kind === "void" || to.kind === "function" || isCharacter(to)) break;
      this.follow(plain);
    }
    const plain = resolved(this.at);
    if (plain.kind === "pointer" && resolved(plain.to).kind === "function") {
      const operand = this.integer({ size: 8, signed: false });
      return {
        kind: "show",
        position,
        operand,
        from: "value",
        shape: { kind: "address", prefix: "<function>:" },
      };
    }
    const shape = shapeOf(this.at, deep, this.types);
    const isRecord = plain.kind === "struct" || plain.kind === "union" || plain.kind === "array";
    if (!isRecord && shape.kind !== "text") {
      // The value was fetched already, so nothing of it can be a bit field any more.
      const whole = shape.kind === "number" ? { ...shape, bytes: 8, bits: undefined } : shape;
      return { kind: "show", position, operand: this.fetch(false, position), from: "value", shape: whole };
    }
    const { place } = this;
    return place.in === "memory"
      ? { kind: "show", position, operand: place.address, from: "address", shape }
      : { kind: "show", position, operand: this.wholeWord(place), from: "value", shape };
  }

  private member(name: string, position: Position): void {
    const access = `->${name}`;
    for (;;) {
      const plain = resolved(this.at);
      switch (plain.kind) {
        case "pointer":
          if (resolved(plain.to).kind === "void")
            throw new Unresolved(`invalid access '${access}' vs '${typeText(this.at)}'`, position);
          this.follow(plain);
          continue;
        case "struct":
        case "union":
          this.enter(plain, name, position);
          return;
        case "array":
          throw new Unresolved(`invalid access '${access}' for array type`, position);
        case "integer":
        case "float":
        case "enum":
        case "void":
        case "function":
          throw new Unresolved(`invalid access '${access}' vs. ${typeText(this.at)}`, position);
      }
    }
  }

  private enter(type: CompositeType, name: string, position: Position): void {
    const whole = defined(type, this.types);
    if (whole === undefined)
      throw new Unresolved(
        `unresolved ${typeText(type)}: it is only declared, nothing says what is in it`,
        position,
      );
    const found = findMember(whole, name, this.types);
    if (found === undefined) {
      const alternatives = nearest(name, memberNames(whole, this.types), MOST_ALTERNATIVES);
      const hint = alternatives.length === 0 ? "" : ` (alternatives: ${alternatives.join(", ")})`;
      throw new Unresolved(`unable to find member '${name}' for ${typeText(type)}${hint}`, position);
    }
    const { member, bitOffset } = found;
    this.at = member.type;
    if (member.bitSize === undefined) {
      this.move(Math.floor(bitOffset / 8));
      return;
    }
    // The word that holds the field, if it is in one; else the bytes that it begins in.
    const size = sizeOf(member.type, this.types) ?? 8;
    const aligned = Math.floor(bitOffset / (8 * size)) * size;
    const fits = bitOffset - 8 * aligned + member.bitSize <= 8 * size;
    const start = fits ? aligned : Math.floor(bitOffset / 8);
    this.move(start);
    this.field = { offset: bitOffset - 8 * start, width: member.bitSize };
  }

  private index(index: ast.Expression, position: Position): void {
    const plain = resolved(this.at);
    const access = literal(index) === undefined ? "[...]" : `[${String(literal(index))}]`;
    switch (plain.kind) {
      case "array":
        this.element(plain.of, index, position);
        return;
      case "pointer":
        if (resolved(plain.to).kind === "void")
          throw new Unresolved(`invalid access '${access}' vs '${typeText(this.at)}'`, position);
        this.follow(plain);
        this.element(this.at, index, position);
        return;
      case "struct":
      case "union":
        throw new Unresolved(`invalid access '${access}' for ${typeText(this.at)}`, position);
      case "integer":
      case "float":
      case "enum":
      case "void":
      case "function":
        throw new Unresolved(`invalid access '${access}' vs. ${typeText(this.at)}`, position);
    }
  }

  /** Goes to the element of an array that begins here. */
  private element(type: Type, index: ast.Expression, position: Position): void {
    const stride = sizeOf(type, this.types);
    if (stride === undefined) throw new Unresolved(`the size of '${typeText(type)}' is not known`, position);
    this.at = type;
    const { place } = this;
    if (place.in === "memory") {
      this.place = { in: "memory", address: element(place.address, index, stride, position) };
      return;
    }
    const constant = literal(index);
    if (constant === undefined)
      throw new Unresolved("an array in a register can only be indexed by a number", position);
    this.move(stride * Number(constant));
  }

  /** Goes so many bytes further. */
  private move(offset: number): void {
    const { place } = this;
    this.field = undefined;
    this.place =
      place.in === "memory"
        ? { in: "memory", address: plus(place.address, BigInt(offset), this.position) }
        : { ...place, offset: place.offset + 8 * offset };
  }

  /** Goes to where a pointer points. */
  private follow(type: PointerType): void {
    this.place = { in: "memory", address: this.integer({ size: 8, signed: false }) };
    this.field = undefined;
    this.at = type.to;
  }

  private address(): ast.Expression {
    if (this.field !== undefined)
      throw new Unresolved("cannot take the address of a bit field", this.position);
    if (this.place.in === "memory") return this.place.address;
    const where = this.place.in === "word" ? "register" : "several places";
    throw new Unresolved(`cannot take address of object in ${where}`, this.position);
  }

  private integer({ size, signed }: { readonly size: number; readonly signed: boolean }): ast.Expression {
    const { place, position, memory } = this;
    const { offset, width } = this.field ?? { offset: 0, width: 8 * size };
    if (place.in === "word") return this.word({ ...place, offset: place.offset + offset }, width, signed);
    if (place.in === "pieces") {
      if (width > 64) throw new Unresolved("cannot process >64-bit values", position);
      return bitsOfParts(place.parts, place.offset + offset, width, signed, memory, position);
    }
    if (size > 8) throw new Unresolved("cannot process >64-bit values", position);
    if (this.field === undefined) return load(place.address, loadable(size), signed, memory, position);
    const needed = Math.ceil((offset + width) / 8);
    const word = loadable(Math.max(size, needed));
    if (needed > 8)
      throw new Unresolved("a packed bit field that 8 bytes do not hold cannot be read", position);
    return bits(load(place.address, word, false, memory, position), offset, width, signed, position);
  }

  /** What is shown as a whole from a value must be one. */
  private wholeWord(place: Exclude<Place, { in: "memory" }>): ast.Expression {
    if (place.in === "word") return this.word(place, 64, false);
    const size = sizeOf(this.at, this.types) ?? 0;
    if (size < 1 || size > 8)
      throw new Unresolved("it is not in one place: only its members can be shown", this.position);
    return bitsOfParts(place.parts, place.offset, 8 * size, false, this.memory, this.position);
  }

  private word(place: Extract<Place, { in: "word" }>, width: number, signed: boolean): ast.Expression {
    const room = 64 - place.offset;
    if (width > room && width !== 64) throw new Unresolved("cannot process >64-bit values", this.position);
    return bits(place.word, place.offset, Math.min(width, room), signed, this.position);
  }
}

function loadable(size: number): 1 | 2 | 4 | 8 {
  if (size <= 2) return size === 2 ? 2 : 1;
  return size <= 4 ? 4 : 8;
}

/** Also in the anonymous members, at their offsets in the whole. */
function findMember(
  type: CompositeType,
  name: string,
  types: TypeNames,
): { readonly member: Member; readonly bitOffset: number } | undefined {
  for (const member of type.members) {
    if (member.name === name && name !== "") return { member, bitOffset: member.bitOffset };
    const inner = anonymous(member, types);
    const found = inner === undefined ? undefined : findMember(inner, name, types);
    if (found !== undefined) return { ...found, bitOffset: member.bitOffset + found.bitOffset };
  }
  return undefined;
}

function memberNames(type: CompositeType, types: TypeNames): string[] {
  return type.members.flatMap((member) => {
    if (member.name !== "") return [member.name];
    const inner = anonymous(member, types);
    return inner === undefined ? [] : memberNames(inner, types);
  });
}

function anonymous(member: Member, types: TypeNames): CompositeType | undefined {
  if (member.name !== "") return undefined;
  const plain = resolved(member.type);
  return plain.kind === "struct" || plain.kind === "union" ? defined(plain, types) : undefined;
}
