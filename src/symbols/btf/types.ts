import type {
  CompositeType,
  EnumType,
  FunctionType,
  IntegerType,
  Member,
  Type,
  TypeNames,
  VoidType,
} from "../types/type.js";
import { Alias, ArrayOf, Pointer, Qualified } from "../types/references.js";
import { INTEGER, KIND } from "./facts.js";
import { BtfTable } from "./table.js";

/** A variable that BTF describes. */
export interface BtfVariable {
  readonly name: string;
  readonly type: Type;
  /** The section that holds it: `.data..percpu`; `""` where none is said to. */
  readonly section: string;
  /** Within that section. */
  readonly offset: number;
}

const VOID: VoidType = { kind: "void" };

/** Longer chains of aliases and qualifiers go round in a circle: C has none. */
const MOST_OVERLAYS = 64;

type NamedKind = Parameters<TypeNames["named"]>[0];

/**
 * Types that BTF describes, as the one model of types has them. Nothing is made before it is asked
 * for, and everything once. Tags, which the compiler hands on for others' sake, are seen through.
 */
export class BtfTypes implements TypeNames {
  private readonly made = new Map<number, Type>();
  private index: NameIndex | undefined;

  private constructor(
    readonly table: BtfTable,
    private readonly base: BtfTypes | undefined,
  ) {}

  /**
   * @param what names the piece in sentences
   * @param base where these are of a module: the kernel's
   * @throws TargetError no BTF, or damaged
   */
  static parse(bytes: Uint8Array, what: string, base?: BtfTypes): BtfTypes {
    return new BtfTypes(new BtfTable(bytes, what, base?.table), base);
  }

  named(kind: NamedKind, name: string): Type | undefined {
    if (name === "") return undefined;
    const own = this.names.types[kind].get(name);
    const inherited = this.base?.named(kind, name);
    if (own === undefined) return inherited;
    const type = this.type(own);
    // A module knows of much of the kernel's no more than its name.
    return this.table.kind(own) === KIND.forward && inherited !== undefined ? inherited : type;
  }

  prototype(name: string): FunctionType | undefined {
    const id = this.names.functions.get(name);
    if (id === undefined) return this.base?.prototype(name);
    const type = this.type(this.table.sizeOrType(id));
    return type.kind === "function" ? type : undefined;
  }

  variable(name: string): BtfVariable | undefined {
    const id = this.names.variables.get(name);
    if (id === undefined) return this.base?.variable(name);
    const place = this.names.places.get(id);
    return {
      name,
      type: this.type(this.table.sizeOrType(id)),
      section: place?.section ?? "",
      offset: place?.offset ?? 0,
    };
  }

  /** The type of a number; void where there is none, as 0 has it. */
  type(id: number): Type {
    if (id < this.table.first) return this.base?.type(id) ?? VOID;
    const known = this.made.get(id);
    if (known !== undefined) return known;
    const type = this.make(id);
    this.made.set(id, type);
    return type;
  }

  private get names(): NameIndex {
    this.index ??= indexOf(this.table);
    return this.index;
  }

  private make(id: number): Type {
    const { table } = this;
    // What would be read with such a size is nothing that C has.
    if (isScalar(table.kind(id)) && !SCALAR_SIZES.has(table.sizeOrType(id))) return VOID;
    switch (table.kind(id)) {
      case KIND.integer:
        return integer(table, id);
      case KIND.float:
        return { kind: "float", name: table.name(id), size: table.sizeOrType(id) };
      case KIND.pointer:
        return new Pointer(this, table.sizeOrType(id));
      case KIND.array:
        return new ArrayOf(this, table.word(id, 3), table.word(id, 5));
      case KIND.struct:
      case KIND.union:
        return new Composite(this, id, table.kind(id) === KIND.struct ? "struct" : "union");
      case KIND.forward:
        return {
          kind: table.flag(id) ? "union" : "struct",
          name: table.name(id),
          size: undefined,
          members: [],
        };
      case KIND.enum:
      case KIND.enum64:
        return new Enum(table, id);
      case KIND.prototype:
        return new Prototype(this, id);
      case KIND.function:
      case KIND.variable:
        return this.type(this.settled(table.sizeOrType(id)));
      case KIND.alias:
      case KIND.const:
      case KIND.volatile:
      case KIND.restrict:
      case KIND.typeTag:
      case KIND.declarationTag:
        return this.overlay(id);
      default:
        return VOID;
    }
  }

  private overlay(id: number): Type {
    const { table } = this;
    if (this.settled(id) === 0) return VOID;
    const of = table.sizeOrType(id);
    switch (table.kind(id)) {
      case KIND.alias:
        return new Alias(this, of, table.name(id));
      case KIND.const:
        return new Qualified(this, of, "const");
      case KIND.volatile:
        return new Qualified(this, of, "volatile");
      case KIND.restrict:
        return new Qualified(this, of, "restrict");
      default:
        return this.type(of);
    }
  }

  /** The number itself where a type is at the end of its aliases and tags; 0 where they have no end. */
  private settled(id: number): number {
    let at = id;
    for (let depth = 0; depth < MOST_OVERLAYS; depth += 1) {
      if (!OVERLAYS.has(this.table.kind(at))) return id;
      at = this.table.sizeOrType(at);
    }
    return 0;
  }
}

/** 10 and 12 are those of `long double`. */
const SCALAR_SIZES: ReadonlySet<number> = new Set([1, 2, 4, 8, 10, 12, 16]);

function isScalar(kind: number): boolean {
  return kind === KIND.integer || kind === KIND.float || kind === KIND.enum || kind === KIND.enum64;
}

const OVERLAYS: ReadonlySet<number> = new Set([
  KIND.alias,
  KIND.const,
  KIND.volatile,
  KIND.restrict,
  KIND.typeTag,
  KIND.declarationTag,
  KIND.function,
  KIND.variable,
]);

interface NameIndex {
  readonly types: Readonly<Record<NamedKind, ReadonlyMap<string, number>>>;
  readonly functions: ReadonlyMap<string, number>;
  readonly variables: ReadonlyMap<string, number>;
  /** Where variables lie, by their number. */
  readonly places: ReadonlyMap<number, { readonly section: string; readonly offset: number }>;
}

function indexOf(table: BtfTable): NameIndex {
  const types: Record<NamedKind, Map<string, number>> = {
    struct: new Map(),
    union: new Map(),
    enum: new Map(),
    alias: new Map(),
    integer: new Map(),
  };
  const functions = new Map<string, number>();
  const variables = new Map<string, number>();
  const places = new Map<number, { section: string; offset: number }>();
  const forwards: number[] = [];
  const enter = (names: Map<string, number>, id: number): void => {
    const name = table.name(id);
    // The first of a name is the one that most of the kernel means.
    if (name !== "" && !names.has(name)) names.set(name, id);
  };
  for (let id = table.first; id < table.end; id += 1) {
    switch (table.kind(id)) {
      case KIND.struct:
        enter(types.struct, id);
        break;
      case KIND.union:
        enter(types.union, id);
        break;
      case KIND.enum:
      case KIND.enum64:
        enter(types.enum, id);
        break;
      case KIND.alias:
        enter(types.alias, id);
        break;
      case KIND.integer:
      case KIND.float:
        enter(types.integer, id);
        break;
      case KIND.forward:
        forwards.push(id);
        break;
      case KIND.function:
        enter(functions, id);
        break;
      case KIND.variable:
        enter(variables, id);
        break;
      case KIND.section: {
        const section = table.name(id);
        for (let entry = 0; entry < table.count(id); entry += 1)
          places.set(table.word(id, 3 + 3 * entry), { section, offset: table.word(id, 4 + 3 * entry) });
        break;
      }
      default:
    }
  }
  for (const id of forwards) enter(table.flag(id) ? types.union : types.struct, id);
  return { types, functions, variables, places };
}

function integer(table: BtfTable, id: number): IntegerType {
  const encoding = (table.word(id, 3) >>> 24) & 15;
  const name = table.name(id);
  return {
    kind: "integer",
    name,
    size: table.sizeOrType(id),
    signed: (encoding & INTEGER.signed) !== 0,
    // pahole says of no integer that it is a character: it goes by its name.
    encoding:
      (encoding & INTEGER.bool) !== 0
        ? "bool"
        : (encoding & INTEGER.char) !== 0 || CHARACTERS.has(name)
          ? "char"
          : "number",
  };
}

const CHARACTERS: ReadonlySet<string> = new Set(["char", "signed char", "unsigned char"]);

class Composite implements CompositeType {
  readonly name: string;
  readonly size: number;
  private kept: readonly Member[] | undefined;

  constructor(
    private readonly types: BtfTypes,
    private readonly id: number,
    readonly kind: "struct" | "union",
  ) {
    this.name = types.table.name(id);
    this.size = types.table.sizeOrType(id);
  }

  get members(): readonly Member[] {
    this.kept ??= Array.from({ length: this.types.table.count(this.id) }, (_, index) => this.member(index));
    return this.kept;
  }

  private member(index: number): Member {
    const { table } = this.types;
    const at = 3 + 3 * index;
    const id = table.word(this.id, at + 1);
    const place = table.word(this.id, at + 2);
    const flagged = table.flag(this.id);
    const offset = flagged ? place & 0xff_ffff : place;
    const stated = flagged ? place >>> 24 : 0;
    // Without the flag, a bit field's bits are those of an integer type made for it.
    const narrow = stated === 0 ? narrowBits(table, id) : undefined;
    return {
      name: table.string(table.word(this.id, at)),
      type: this.types.type(id),
      bitOffset: offset + (narrow?.offset ?? 0),
      bitSize: stated > 0 ? stated : narrow?.bits,
    };
  }
}

function narrowBits(table: BtfTable, id: number): { offset: number; bits: number } | undefined {
  if (table.kind(id) !== KIND.integer) return undefined;
  const word = table.word(id, 3);
  const bits = word & 0xff;
  const offset = (word >>> 16) & 0xff;
  const size = 8 * table.sizeOrType(id);
  return bits === 0 || bits + offset > size || bits === size ? undefined : { offset, bits };
}

class Enum implements EnumType {
  readonly kind = "enum";
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  private kept: EnumType["values"] | undefined;

  constructor(
    private readonly table: BtfTable,
    private readonly id: number,
  ) {
    this.name = table.name(id);
    this.size = table.sizeOrType(id);
    this.signed = table.flag(id);
  }

  get values(): EnumType["values"] {
    this.kept ??= Array.from({ length: this.table.count(this.id) }, (_, index) => this.value(index));
    return this.kept;
  }

  private value(index: number): { name: string; value: bigint } {
    const { table, id } = this;
    const wide = table.kind(id) === KIND.enum64;
    const at = 3 + (wide ? 3 : 2) * index;
    const low = BigInt(table.word(id, at + 1));
    const value = wide ? (BigInt(table.word(id, at + 2)) << 32n) | low : low;
    return {
      name: table.string(table.word(id, at)),
      value: this.signed ? BigInt.asIntN(wide ? 64 : 32, value) : value,
    };
  }
}

class Prototype implements FunctionType {
  readonly kind = "function";
  readonly variadic: boolean;
  private readonly named: number;

  constructor(
    private readonly types: BtfTypes,
    private readonly id: number,
  ) {
    const { table } = types;
    const count = table.count(id);
    // `…` is a last parameter without a type and without a name.
    this.variadic =
      count > 0 && table.word(id, 3 + 2 * (count - 1)) === 0 && table.word(id, 4 + 2 * (count - 1)) === 0;
    this.named = this.variadic ? count - 1 : count;
  }

  get returns(): Type {
    return this.types.type(this.types.table.sizeOrType(this.id));
  }

  get parameters(): FunctionType["parameters"] {
    const { table } = this.types;
    return Array.from({ length: this.named }, (_, index) => ({
      name: table.string(table.word(this.id, 3 + 2 * index)),
      type: this.types.type(table.word(this.id, 4 + 2 * index)),
    }));
  }
}
