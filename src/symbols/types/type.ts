/**
 * Types of a program or a kernel, as a handler's context variables need them: one model, fed by BTF and,
 * where there is one, by DWARF. Types refer to each other in circles (a list's element points to its
 * own type), so whoever feeds it gives `to`, `of` and `members` lazily.
 */
export type Type =
  | VoidType
  | IntegerType
  | FloatType
  | EnumType
  | PointerType
  | ArrayType
  | CompositeType
  | FunctionType
  | AliasType
  | QualifiedType;

export interface VoidType {
  readonly kind: "void";
}

export interface IntegerType {
  readonly kind: "integer";
  /** `"unsigned int"`. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly signed: boolean;
  /** How it is shown: `char` as a character, `bool` as a number. */
  readonly encoding: "number" | "char" | "bool";
}

export interface FloatType {
  readonly kind: "float";
  readonly name: string;
  readonly size: number;
}

export interface EnumType {
  readonly kind: "enum";
  /** `""` where it has none. */
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly { readonly name: string; readonly value: bigint }[];
}

export interface PointerType {
  readonly kind: "pointer";
  readonly to: Type;
}

export interface ArrayType {
  readonly kind: "array";
  readonly of: Type;
  /** Elements; 0 for a flexible one. */
  readonly length: number;
}

export interface CompositeType {
  readonly kind: "struct" | "union";
  /** `""` where it has none. */
  readonly name: string;
  /** Bytes; undefined where only its name is known (a forward declaration). */
  readonly size: number | undefined;
  readonly members: readonly Member[];
}

export interface Member {
  /** `""`: an anonymous struct or union, whose members are found as if they stood here. */
  readonly name: string;
  readonly type: Type;
  /** From the beginning of the composite. */
  readonly bitOffset: number;
  /** Bits of a bit field; undefined for an ordinary member. */
  readonly bitSize: number | undefined;
}

export interface FunctionType {
  readonly kind: "function";
  readonly returns: Type;
  /** A parameter's name is `""` where it is not known. */
  readonly parameters: readonly { readonly name: string; readonly type: Type }[];
  readonly variadic: boolean;
}

/** `typedef`. */
export interface AliasType {
  readonly kind: "alias";
  readonly name: string;
  readonly of: Type;
}

export interface QualifiedType {
  readonly kind: "const" | "volatile" | "restrict";
  readonly of: Type;
}

/** Where types are looked up by name: those of one program, kernel or module. */
export interface TypeNames {
  /**
   * @param kind what the name is written behind in C; `alias` for a typedef's own name
   * @returns the whole definition where there is one, else a forward declaration, else undefined
   */
  named(kind: "struct" | "union" | "enum" | "alias" | "integer", name: string): Type | undefined;
}

/** The type behind aliases and qualifiers. */
export function resolved(type: Type): Exclude<Type, AliasType | QualifiedType> {
  let at = type;
  while (isOverlay(at)) at = at.of;
  return at;
}

function isOverlay(type: Type): type is AliasType | QualifiedType {
  return (
    type.kind === "alias" || type.kind === "const" || type.kind === "volatile" || type.kind === "restrict"
  );
}
