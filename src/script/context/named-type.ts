import type { Type, TypeNames } from "../../symbols/types/type.js";

/** The type that a script writes: `struct file`, `file`, `char *`, `unsigned long`. */
export function namedType(text: string, types: TypeNames): Type | undefined {
  const trimmed = text.trim();
  if (trimmed.endsWith("*")) {
    const to = namedType(trimmed.slice(0, -1), types);
    return to === undefined ? undefined : { kind: "pointer", to };
  }
  const words = trimmed.split(/\s+/).filter((word) => word !== "const" && word !== "volatile");
  const name = words.join(" ");
  const [kind, tag = ""] = words;
  if (words.length === 2) {
    if (kind === "struct" || kind === "class") return types.named("struct", tag);
    if (kind === "union" || kind === "enum") return types.named(kind, tag);
  }
  if (name === "void") return { kind: "void" };
  return (
    types.named("alias", name) ??
    types.named("integer", name) ??
    types.named("integer", asCompilersWrite(words)) ??
    types.named("struct", name) ??
    types.named("union", name) ??
    types.named("enum", name)
  );
}

const INTEGER_WORDS: ReadonlySet<string> = new Set(["long", "short", "int", "unsigned", "signed"]);

/** Words of an integer in their order in type information: `unsigned long` is `long unsigned int` there. */
function asCompilersWrite(words: readonly string[]): string {
  const has = (word: string): boolean => words.includes(word);
  if (has("char") || !words.every((word) => INTEGER_WORDS.has(word))) return words.join(" ");
  return [
    ...words.filter((word) => word === "long" || word === "short"),
    ...(has("unsigned") ? ["unsigned"] : []),
    "int",
  ].join(" ");
}
