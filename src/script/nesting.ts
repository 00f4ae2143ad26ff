import type * as ast from "./ast.js";
import type { Sources } from "./errors.js";
import type { Position } from "./position.js";

/**
 * Statements and expressions in one another, `a + b + c` being two deep. Every pass walks them by
 * recursion, and the engine that runs the generated code does too: about 1,000 overflow the smallest stack.
 */
const DEEPEST = 500;

interface Node {
  readonly kind: string;
  readonly position: Position;
}

/** Refuses machine-made monsters in a sentence, before a stack of ours overflows. @throws ScriptProblem */
export function refuseDeepNesting(code: ast.Script | readonly ast.Block[], sources: Sources): void {
  const open: { readonly part: unknown; readonly depth: number }[] = [{ part: code, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { part } = next;
    if (typeof part !== "object" || part === null) continue;
    const depth = next.depth + (isNode(part) ? 1 : 0);
    if (depth > DEEPEST && isNode(part)) throw tooDeep(part.position, sources);
    for (const each of Object.values(part)) open.push({ part: each, depth });
  }
}

/** The parser's own overflow, on parentheses that leave nothing in the script. */
export function tooDeep(position: Position, sources: Sources): Error {
  return sources.problem("parse", `more than ${DEEPEST} statements or expressions in one another`, position);
}

function isNode(part: object): part is Node {
  return "kind" in part && "position" in part;
}
