import { assertNever } from "../../base/assert-never.js";
import type { Type } from "../../symbols/types/type.js";

/** A type as `-L` and messages write it: `struct file*`, `char const*`, `int[4]`. */
export function typeText(type: Type): string {
  switch (type.kind) {
    case "void":
      return "void";
    case "integer":
    case "float":
    case "alias":
      return type.name;
    case "enum":
    case "struct":
    case "union":
      return `${type.kind} ${type.name === "" ? "{...}" : type.name}`;
    case "pointer":
      return type.to.kind === "function" ? functionText(type.to, "(*)") : `${typeText(type.to)}*`;
    case "array":
      return arrayText(type);
    case "function":
      return functionText(type, "");
    case "const":
    case "volatile":
    case "restrict":
      return `${typeText(type.of)} ${type.kind}`;
    default:
      return assertNever(type);
  }
}

/** `int[2][3]`: the outer length first. */
function arrayText(type: Extract<Type, { kind: "array" }>): string {
  let lengths = "";
  let at: Type = type;
  for (; at.kind === "array"; at = at.of) lengths += `[${at.length === 0 ? "" : String(at.length)}]`;
  return `${typeText(at)}${lengths}`;
}

function functionText(type: Extract<Type, { kind: "function" }>, name: string): string {
  const parameters = type.parameters.map((each) => typeText(each.type));
  if (type.variadic) parameters.push("...");
  return `${typeText(type.returns)} ${name}(${parameters.join(", ")})`;
}
