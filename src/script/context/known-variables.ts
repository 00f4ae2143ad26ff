import { resolved } from "../../symbols/types/type.js";
import type { ProbedCode } from "../probed-code.js";
import { typeText } from "./type-text.js";

/** The context variables of a code, as `-L` lists them: `$file:struct file*`. */
export function knownVariables({ prototype, at }: ProbedCode): readonly string[] {
  if (prototype === undefined || at === "inside") return [];
  const result =
    at === "return" && resolved(prototype.returns).kind !== "void"
      ? [`$return:${typeText(prototype.returns)}`]
      : [];
  const parameters = prototype.parameters.flatMap(({ name, type }) =>
    name === "" ? [] : [`$${name}:${typeText(type)}`],
  );
  return [...result, ...parameters];
}
