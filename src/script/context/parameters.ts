import { type Location, argumentLocation } from "../../arch/x86_64/arguments.js";
import { type FunctionType, resolved, type Type, type TypeNames } from "../../symbols/types/type.js";
import { defined, sizeOf } from "./sizes.js";

/** Where a parameter is when its function is entered. */
export type ParameterPlace =
  /** Its value, of up to 8 bytes, is there; the upper bits are nobody's. */
  | { readonly kind: "word"; readonly location: Location }
  /** It is in memory, `offset` bytes above the stack pointer. */
  | { readonly kind: "stack"; readonly offset: number }
  | { readonly kind: "unsupported"; readonly why: string };

const GENERAL_REGISTERS = 6;
const VECTOR_REGISTERS = 8;
const WORD = 8;
/** Two words have no more structures in one another that are not the same bytes. */
const MOST_NESTED = 32;

/**
 * Where the parameters of a function are when it is entered. System V ABI, AMD64 supplement, 3.2.3: words go
 * to the general registers in turn, floating-point numbers to the vector registers, structures of two words
 * to two registers if both are left, what is larger to the stack.
 */
export function parameterPlaces(prototype: FunctionType, types: TypeNames): ParameterPlace[] {
  let general = 0;
  let vector = 0;
  // Above the return address.
  let stack = WORD;
  const onStack = (bytes: number, alignment = WORD): number => {
    stack = Math.ceil((stack - WORD) / alignment) * alignment + WORD;
    const offset = stack;
    stack += Math.ceil(bytes / WORD) * WORD;
    return offset;
  };
  const word = (): ParameterPlace =>
    general < GENERAL_REGISTERS
      ? { kind: "word", location: argumentLocation(++general) }
      : { kind: "word", location: { kind: "stack", offset: onStack(WORD) } };
  // The caller says where a large result is to go.
  if (isComposite(prototype.returns) && (sizeOf(prototype.returns, types) ?? 0) > 2 * WORD) general++;
  return prototype.parameters.map(({ type }): ParameterPlace => {
    const plain = resolved(type);
    const size = sizeOf(plain, types);
    if (size === undefined) return { kind: "unsupported", why: "the size of its type is not known" };
    const classes = classesOf(plain, size, types);
    const vectors = classes.filter((each) => each === "vector").length;
    const words = classes.length - vectors;
    const inMemory =
      classes.includes("memory") ||
      vector + vectors > VECTOR_REGISTERS ||
      (words > 1 && general + words > GENERAL_REGISTERS) ||
      (isComposite(plain) && words > 0 && general + words > GENERAL_REGISTERS);
    if (inMemory) return { kind: "stack", offset: onStack(size, plain.kind === "integer" ? 16 : WORD) };
    if (classes.length === 0) return { kind: "unsupported", why: "its type has no bytes" };
    if (vectors > 0) {
      vector += vectors;
      general += words;
      return { kind: "unsupported", why: "it is passed in a floating-point register" };
    }
    if (words > 1) {
      general += words;
      return { kind: "unsupported", why: "it is passed by value in two registers" };
    }
    return word();
  });
}

type WordClass = "integer" | "vector" | "memory";

/** The class of each word. */
function classesOf(plain: Type, size: number, types: TypeNames): WordClass[] {
  if (plain.kind === "float") return size > WORD ? ["memory"] : ["vector"];
  if (!isComposite(plain)) return size > WORD ? ["integer", "integer"] : ["integer"];
  if (size > 2 * WORD) return ["memory"];
  const classes = new Array<WordClass | undefined>(Math.ceil(size / WORD)).fill(undefined);
  const unaligned = mergeMembers(plain, 0, classes, types, 0);
  if (unaligned) return ["memory"];
  return classes.map((each) => each ?? "vector");
}

/** A word is of class integer as soon as one member in it is. @returns something is not aligned */
function mergeMembers(
  type: Type,
  offset: number,
  classes: (WordClass | undefined)[],
  types: TypeNames,
  depth: number,
): boolean {
  const plain = resolved(type);
  // Damaged types can be said to hold themselves.
  if (depth > MOST_NESTED) return true;
  if (plain.kind === "array") {
    const stride = sizeOf(plain.of, types) ?? 0;
    for (let index = 0; index < plain.length; index++)
      if (mergeMembers(plain.of, offset + index * stride, classes, types, depth + 1)) return true;
    return false;
  }
  if (plain.kind === "struct" || plain.kind === "union") {
    const members = defined(plain, types)?.members ?? [];
    return members.some(({ type: of, bitOffset, bitSize }) => {
      const at = offset + Math.floor(bitOffset / 8);
      if (bitSize === undefined) return mergeMembers(of, at, classes, types, depth + 1);
      for (const bit of [bitOffset, bitOffset + bitSize - 1]) {
        const index = Math.floor((8 * offset + bit) / (8 * WORD));
        if (index < classes.length) classes[index] = "integer";
      }
      return false;
    });
  }
  const size = sizeOf(plain, types) ?? 0;
  if (size > 0 && offset % Math.min(size, 16) !== 0) return true;
  const index = Math.floor(offset / WORD);
  const now: WordClass = plain.kind === "float" ? (size > WORD ? "memory" : "vector") : "integer";
  if (classes[index] !== "integer") classes[index] = now;
  if (size > WORD && now === "integer") classes[index + 1] = "integer";
  return now === "memory";
}

function isComposite(type: Type): boolean {
  const { kind } = resolved(type);
  return kind === "struct" || kind === "union";
}
