import type {
  ArrayType,
  CompositeType,
  EnumType,
  FunctionType,
  Member,
  Type,
  TypeNames,
  VoidType,
} from "../types/type.js";
import { Alias, ArrayOf, Pointer, Qualified } from "../types/references.js";
import type { Entries, Entry } from "./entries.js";
import { ATTRIBUTE, ENCODING, OPERATION, TAG } from "./facts.js";
import { Cursor } from "./cursor.js";
import type { NameIndex } from "./names.js";

const VOID: VoidType = { kind: "void" };
/** Longer chains of aliases, qualifiers and arrays go round in a circle: C has none. */
const MOST_OVERLAYS = 64;
/** 10 and 12 are those of `long double`. */
const SCALAR_SIZES: ReadonlySet<number> = new Set([1, 2, 4, 8, 10, 12, 16]);
/** A length or a place that no memory has. */
const LARGEST = 2 ** 47;

type NamedKind = Parameters<TypeNames["named"]>[0];

/** Types that DWARF describes, as the one model of types has them: each is made when it is asked for, and once. */
export class DwarfTypes implements TypeNames {
  private readonly made = new Map<number, Type>();

  constructor(
    readonly entries: Entries,
    private readonly names: () => NameIndex,
  ) {}

  named(kind: NamedKind, name: string): Type | undefined {
    const offset = name === "" ? undefined : this.names().find(kind, name);
    return offset === undefined ? undefined : this.type(offset);
  }

  /** Of a function, from its own entry or the one that describes it. */
  prototype(entry: Entry): FunctionType {
    return new Prototype(this, entry);
  }

  /** The type of an entry that has one; void where it has none. @throws TargetError damaged */
  typeOf(entry: Entry): Type {
    return this.type(this.entries.typeOf(entry));
  }

  /** @param offset of the type's entry; undefined: void @throws TargetError damaged */
  type(offset: number | undefined): Type {
    if (offset === undefined) return VOID;
    const known = this.made.get(offset);
    if (known !== undefined) return known;
    const type = this.make(this.entries.at(offset));
    this.made.set(offset, type);
    return type;
  }

  private make(declared: Entry): Type {
    const { entries } = this;
    const elsewhere = entries.reference(declared, ATTRIBUTE.signature);
    const entry = elsewhere === undefined ? declared : entries.at(elsewhere);
    switch (entry.tag) {
      case TAG.baseType:
        return scalar(entries, entry);
      case TAG.pointerType:
      case TAG.referenceType:
      case TAG.rvalueReferenceType:
        return new Pointer(this, entries.typeOf(entry));
      case TAG.arrayType:
        return this.settles(entry) ? this.array(entry) : VOID;
      case TAG.structureType:
      case TAG.classType:
        return new Composite(this, entry, "struct");
      case TAG.unionType:
        return new Composite(this, entry, "union");
      case TAG.enumerationType:
        return this.enumeration(entry);
      case TAG.subroutineType:
      case TAG.subprogram:
        return new Prototype(this, entry);
      case TAG.typedef:
        return this.settles(entry) ? new Alias(this, entries.typeOf(entry), entries.nameOf(entry)) : VOID;
      case TAG.constType:
        return this.settles(entry) ? new Qualified(this, entries.typeOf(entry), "const") : VOID;
      case TAG.volatileType:
        return this.settles(entry) ? new Qualified(this, entries.typeOf(entry), "volatile") : VOID;
      case TAG.restrictType:
        return this.settles(entry) ? new Qualified(this, entries.typeOf(entry), "restrict") : VOID;
      default:
        // `_Atomic` and its like are seen through; what is no type that C has is void.
        return entry.tag === TAG.atomicType && this.settles(entry) ? this.typeOf(entry) : VOID;
    }
  }

  /** Is there a type at the end of aliases, qualifiers and arrays? */
  private settles(entry: Entry): boolean {
    let at = entry;
    for (let depth = 0; depth < MOST_OVERLAYS; depth += 1) {
      if (!OVERLAYS.has(at.tag)) return true;
      const of = this.entries.typeOf(at);
      if (of === undefined) return true;
      at = this.entries.at(of);
    }
    return false;
  }

  /** `int[2][3]` is one entry with two lengths: the outer first. */
  private array(entry: Entry): Type {
    const lengths: number[] = [];
    for (const child of this.entries.children(entry))
      if (child.tag === TAG.subrangeType) lengths.push(lengthOf(this.entries, child));
    const of = this.entries.typeOf(entry);
    return (
      lengths
        .slice(0, MOST_OVERLAYS)
        .reduceRight<ArrayType | undefined>(
          (inner, length) =>
            inner === undefined ? new ArrayOf(this, of, length) : { kind: "array", of: inner, length },
          undefined,
        ) ?? new ArrayOf(this, of, 0)
    );
  }

  private enumeration(entry: Entry): Type {
    const { entries } = this;
    const underlying = entries.typeOf(entry);
    const stated = entries.number(entry, ATTRIBUTE.byteSize);
    const base = underlying === undefined ? undefined : baseOf(entries, underlying);
    const size = stated ?? base?.size;
    // Only declared: as large as an int, as compilers take it for.
    if (size !== undefined && !SCALAR_SIZES.has(size)) return VOID;
    return new Enum(this.entries, entry, size ?? 4, base?.signed);
  }
}

const OVERLAYS: ReadonlySet<number> = new Set([
  TAG.typedef,
  TAG.constType,
  TAG.volatileType,
  TAG.restrictType,
  TAG.atomicType,
  TAG.arrayType,
]);

function scalar(entries: Entries, entry: Entry): Type {
  const size = entries.number(entry, ATTRIBUTE.byteSize) ?? 0;
  const name = entries.nameOf(entry);
  const encoding = entries.number(entry, ATTRIBUTE.encoding) ?? 0;
  // What would be read with such a size is nothing that C has.
  if (!SCALAR_SIZES.has(size)) return VOID;
  switch (encoding) {
    case ENCODING.float:
    case ENCODING.decimalFloat:
    case ENCODING.complexFloat:
      return { kind: "float", name, size };
    case ENCODING.boolean:
      return { kind: "integer", name, size, signed: false, encoding: "bool" };
    case ENCODING.signed:
      return { kind: "integer", name, size, signed: true, encoding: "number" };
    case ENCODING.signedChar:
    case ENCODING.unsignedChar:
      return { kind: "integer", name, size, signed: encoding === ENCODING.signedChar, encoding: "char" };
    default:
      return { kind: "integer", name, size, signed: false, encoding: "number" };
  }
}

/** What expressions and enumerations need of a base type, behind aliases. */
export function baseOf(
  entries: Entries,
  offset: number,
): { readonly size: number; readonly signed: boolean; readonly isFloat: boolean } | undefined {
  let entry = entries.at(offset);
  for (let depth = 0; OVERLAYS.has(entry.tag) && depth < MOST_OVERLAYS; depth += 1) {
    const of = entries.typeOf(entry);
    if (of === undefined) return undefined;
    entry = entries.at(of);
  }
  if (entry.tag !== TAG.baseType) return undefined;
  const size = entries.number(entry, ATTRIBUTE.byteSize);
  const encoding = entries.number(entry, ATTRIBUTE.encoding);
  return size === undefined
    ? undefined
    : {
        size,
        signed: encoding === ENCODING.signed || encoding === ENCODING.signedChar,
        isFloat: encoding === ENCODING.float,
      };
}

/** 0 where it is flexible, or known only when the program runs. */
function lengthOf(entries: Entries, range: Entry): number {
  const count = entries.constant(range, ATTRIBUTE.count);
  const bound = entries.constant(range, ATTRIBUTE.upperBound);
  const length = count ?? (bound === undefined ? 0n : bound + 1n);
  // A bound of -1, in whichever width it was written.
  return length > 0n && length < BigInt(LARGEST) && bound !== 0xffff_ffffn ? Number(length) : 0;
}

class Composite implements CompositeType {
  readonly name: string;
  readonly size: number | undefined;
  private kept: readonly Member[] | undefined;

  constructor(
    private readonly types: DwarfTypes,
    private readonly entry: Entry,
    readonly kind: "struct" | "union",
  ) {
    const { entries } = types;
    this.name = entries.nameOf(entry);
    const size = entries.number(entry, ATTRIBUTE.byteSize);
    const isDeclared = entries.flag(entry, ATTRIBUTE.declaration);
    this.size = isDeclared || size === undefined || !(size >= 0 && size < LARGEST) ? undefined : size;
  }

  get members(): readonly Member[] {
    this.kept ??= this.read();
    return this.kept;
  }

  private read(): Member[] {
    const members: Member[] = [];
    const { entries } = this.types;
    for (const child of entries.children(this.entry)) {
      if (child.tag !== TAG.member || entries.flag(child, ATTRIBUTE.declaration)) continue;
      members.push(new MemberOf(this.types, child));
    }
    return members;
  }
}

class MemberOf implements Member {
  readonly name: string;
  readonly bitOffset: number;
  readonly bitSize: number | undefined;
  private readonly offset: number | undefined;

  constructor(
    private readonly types: DwarfTypes,
    entry: Entry,
  ) {
    const { entries } = types;
    this.name = entries.nameOf(entry);
    this.offset = entries.typeOf(entry);
    const bitSize = entries.number(entry, ATTRIBUTE.bitSize);
    this.bitSize = bitSize !== undefined && bitSize >= 1 && bitSize <= 64 ? bitSize : undefined;
    const at = bitOffsetOf(types, entry, this.bitSize);
    this.bitOffset = at >= 0 && at < 8 * LARGEST ? at : 0;
  }

  get type(): Type {
    return this.types.type(this.offset);
  }
}

function bitOffsetOf(types: DwarfTypes, entry: Entry, bitSize: number | undefined): number {
  const { entries } = types;
  const direct = entries.number(entry, ATTRIBUTE.dataBitOffset);
  if (direct !== undefined) return direct;
  const bits = 8 * byteOffsetOf(entries, entry);
  const fromTop = entries.number(entry, ATTRIBUTE.bitOffset);
  if (bitSize === undefined || fromTop === undefined) return bits;
  const type = entries.typeOf(entry);
  const storage =
    entries.number(entry, ATTRIBUTE.byteSize) ??
    (type === undefined ? 0 : (baseOf(entries, type)?.size ?? 0));
  return bits + 8 * storage - fromTop - bitSize;
}

/** A constant, or, as before DWARF 3, an expression that adds one. */
function byteOffsetOf(entries: Entries, entry: Entry): number {
  const value = entry.attributes.get(ATTRIBUTE.dataMemberLocation);
  if (value?.kind === "constant") return Number(value.value);
  if (value?.kind !== "block" || value.bytes[0] !== OPERATION.plusUconst) return 0;
  return new Cursor(value.bytes, entries.units.info.what, value.offset, 1).uleb();
}

class Enum implements EnumType {
  readonly kind = "enum";
  readonly name: string;
  private kept: EnumType["values"] | undefined;

  constructor(
    private readonly entries: Entries,
    private readonly entry: Entry,
    readonly size: number,
    private readonly stated: boolean | undefined,
  ) {
    this.name = entries.nameOf(entry);
  }

  /** Where its own type does not tell, one with a value below zero is. */
  get signed(): boolean {
    return this.stated ?? this.values.some(({ value }) => value < 0n);
  }

  get values(): EnumType["values"] {
    this.kept ??= this.read();
    return this.kept;
  }

  private read(): EnumType["values"] {
    const values: { readonly name: string; readonly value: bigint }[] = [];
    const { entries, size, stated } = this;
    for (const child of entries.children(this.entry)) {
      const value = entries.constant(child, ATTRIBUTE.constValue);
      if (child.tag !== TAG.enumerator || value === undefined) continue;
      // A value below zero may stand in as many bytes as the type has.
      const asWritten = stated === true ? BigInt.asIntN(8 * size, value) : value;
      values.push({ name: entries.nameOf(child), value: asWritten });
    }
    return values;
  }
}

class Prototype implements FunctionType {
  readonly kind = "function";
  private kept: Pick<FunctionType, "parameters" | "variadic"> | undefined;

  constructor(
    private readonly types: DwarfTypes,
    private readonly entry: Entry,
  ) {}

  get returns(): Type {
    return this.types.typeOf(this.entry);
  }

  get parameters(): FunctionType["parameters"] {
    return this.read().parameters;
  }

  get variadic(): boolean {
    return this.read().variadic;
  }

  private read(): Pick<FunctionType, "parameters" | "variadic"> {
    if (this.kept !== undefined) return this.kept;
    const { entries } = this.types;
    const parameters: { readonly name: string; readonly type: Type }[] = [];
    let variadic = false;
    // An instance need not repeat the parameters that were optimised out: the abstract one has all.
    const origin = entries.reference(this.entry, ATTRIBUTE.abstractOrigin);
    const whole = origin === undefined ? this.entry : entries.at(origin);
    for (const child of entries.children(whole)) {
      if (child.tag === TAG.unspecifiedParameters) variadic = true;
      if (child.tag !== TAG.formalParameter) continue;
      const { types } = this;
      parameters.push({
        name: entries.nameOf(child),
        get type(): Type {
          return types.typeOf(child);
        },
      });
    }
    this.kept = { parameters, variadic };
    return this.kept;
  }
}
