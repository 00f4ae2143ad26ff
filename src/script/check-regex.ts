import { parseRegex, RegexProblem } from "../ir/regex.js";
import type { Sources } from "./errors.js";
import type { Position } from "./position.js";

/** @throws ScriptProblem it is no regular expression */
export function checkRegex(pattern: string, position: Position, sources: Sources): void {
  try {
    parseRegex(pattern);
  } catch (error) {
    if (!(error instanceof RegexProblem)) throw error;
    const at = error.position === undefined ? "" : ` (at position ${String(error.position)})`;
    throw sources.problem("semantic", `regex compilation error${at}: ${error.message}`, position);
  }
}
