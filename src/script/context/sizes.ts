import { type CompositeType, resolved, type Type, type TypeNames } from "../../symbols/types/type.js";

/** Bytes of a value; undefined where the type has none, or is only declared. */
export function sizeOf(type: Type, types: TypeNames): number | undefined {
  const plain = resolved(type);
  switch (plain.kind) {
    case "integer":
    case "float":
    case "enum":
      return plain.size;
    case "pointer":
      return 8;
    case "array": {
      const element = sizeOf(plain.of, types);
      return element === undefined ? undefined : element * plain.length;
    }
    case "struct":
    case "union":
      return defined(plain, types)?.size;
    case "void":
    case "function":
      return undefined;
  }
}

/** The definition of a composite that may be only declared here; undefined where there is none at all. */
export function defined(type: CompositeType, types: TypeNames): CompositeType | undefined {
  if (type.size !== undefined) return type;
  const found = type.name === "" ? undefined : types.named(type.kind, type.name);
  return found?.kind === type.kind && found.size !== undefined ? found : undefined;
}

/** `char`, and what else is printed as a text. */
export function isCharacter(type: Type): boolean {
  const plain = resolved(type);
  return plain.kind === "integer" && plain.encoding === "char" && plain.size === 1;
}
