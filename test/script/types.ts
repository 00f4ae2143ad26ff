import {
  type CompositeType,
  type FunctionType,
  type IntegerType,
  type Member,
  resolved,
  type Type,
  type TypeNames,
} from "../../src/symbols/types/type.js";
import type { ProbedCode, ProbedCodes, StaticVariable } from "../../src/script/probed-code.js";
import { sizeOf } from "../../src/script/context/sizes.js";

/** Types and codes for tests of context variables. */

function integer(
  name: string,
  size: number,
  signed: boolean,
  encoding: IntegerType["encoding"] = "number",
): IntegerType {
  return { kind: "integer", name, size, signed, encoding };
}

export const INT = integer("int", 4, true);
export const UINT = integer("unsigned int", 4, false);
export const LONG = integer("long int", 8, true);
export const ULONG = integer("long unsigned int", 8, false);
export const SHORT = integer("short int", 2, true);
export const USHORT = integer("short unsigned int", 2, false);
export const CHAR = integer("char", 1, true, "char");
export const U8 = integer("unsigned char", 1, false, "char");
export const BOOL = integer("_Bool", 1, false, "bool");
export const VOID: Type = { kind: "void" };
export const DOUBLE: Type = { kind: "float", name: "double", size: 8 };

export function pointer(to: Type): Type {
  return { kind: "pointer", to };
}

export function array(of: Type, length: number): Type {
  return { kind: "array", of, length };
}

export function constant(of: Type): Type {
  return { kind: "const", of };
}

export function alias(name: string, of: Type): Type {
  return { kind: "alias", name, of };
}

export function fn(returns: Type, parameters: Readonly<Record<string, Type>>): FunctionType {
  return {
    kind: "function",
    returns,
    parameters: Object.entries(parameters).map(([name, type]) => ({ name, type })),
    variadic: false,
  };
}

/** Only its name. */
export function declared(kind: "struct" | "union", name: string): CompositeType {
  return { kind, name, size: undefined, members: [] };
}

type Fields = readonly (readonly [name: string, type: Type, bits?: number])[];

/** Laid out as the compiler does. `fields` may be lazy, for types that refer to themselves. */
export function struct(name: string, fields: Fields | (() => Fields)): CompositeType {
  return composite("struct", name, fields);
}

export function union(name: string, fields: Fields): CompositeType {
  return composite("union", name, fields);
}

function composite(kind: "struct" | "union", name: string, fields: Fields | (() => Fields)): CompositeType {
  let known: { readonly size: number; readonly members: readonly Member[] } | undefined;
  const layout = (): { readonly size: number; readonly members: readonly Member[] } =>
    (known ??= layoutOf(kind, typeof fields === "function" ? fields() : fields));
  return {
    kind,
    name,
    get size() {
      return layout().size;
    },
    get members() {
      return layout().members;
    },
  };
}

function layoutOf(kind: "struct" | "union", fields: Fields): { size: number; members: Member[] } {
  const members: Member[] = [];
  let at = 0;
  let end = 0;
  let most = 1;
  for (const [name, type, bitSize] of fields) {
    const size = sizeOf(type, NO_TYPES) ?? 0;
    const alignment = alignmentOf(type);
    most = Math.max(most, alignment);
    if (kind === "union") at = 0;
    if (bitSize === undefined) at = Math.ceil(at / (8 * alignment)) * 8 * alignment;
    // System V ABI, AMD64 supplement, 3.1.2: a bit field does not cross a boundary of its type.
    else if (Math.floor(at / (8 * size)) !== Math.floor((at + bitSize - 1) / (8 * size)))
      at = Math.ceil(at / (8 * size)) * 8 * size;
    members.push({ name, type, bitOffset: at, bitSize });
    at += bitSize ?? 8 * size;
    end = Math.max(end, at);
  }
  return { size: Math.ceil(end / (8 * most)) * most, members };
}

function alignmentOf(type: Type): number {
  const plain = resolved(type);
  if (plain.kind === "array") return alignmentOf(plain.of);
  if (plain.kind === "struct" || plain.kind === "union")
    return Math.max(1, ...plain.members.map((each) => alignmentOf(each.type)));
  return sizeOf(plain, NO_TYPES) ?? 1;
}

const NO_TYPES: TypeNames = { named: () => undefined };

/** Names of these types; composites by their own. */
export function names(...types: readonly Type[]): TypeNames {
  return {
    named: (kind, name) => types.find((type) => type.kind === kind && "name" in type && type.name === name),
  };
}

interface CodeOptions {
  readonly types?: TypeNames;
  readonly at?: ProbedCode["at"];
  readonly variables?: Readonly<Record<string, Omit<StaticVariable, "image">>>;
  readonly locals?: ProbedCode["locals"];
}

export function code(
  name: string,
  prototype: FunctionType | undefined,
  options: CodeOptions = {},
): ProbedCode {
  return {
    key: name,
    name,
    prototype,
    types: options.types ?? NO_TYPES,
    at: options.at ?? "entry",
    locals: options.locals,
    memory: "kernel",
    variable: (wanted) => {
      const found = options.variables?.[wanted];
      return found === undefined ? undefined : { ...found, image: "kernel" };
    },
  };
}

/** All points with a function match these. */
export function codes(...all: readonly ProbedCode[]): ProbedCodes {
  return {
    codesOf: ({ components }) => (components.some(({ name }) => name === "function") ? all : undefined),
    typesOf: (module) => (module === undefined || module === "kernel" ? all[0] : undefined),
  };
}

/** Little-endian bytes, each value in so many. */
export function bytes(...values: readonly (readonly [value: bigint, size: number])[]): string {
  return values
    .map(([value, size]) => {
      const buffer = Buffer.alloc(8);
      buffer.writeBigUInt64LE(BigInt.asUintN(64, value));
      return buffer.toString("latin1", 0, size);
    })
    .join("");
}
