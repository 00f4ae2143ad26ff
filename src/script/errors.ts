import { TraplineError } from "../base/errors.js";
import { formatPosition, type Position } from "./position.js";

/** What is wrong with a script, where. Worded as SystemTap words it, with the line and a caret. */
export class ScriptProblem extends TraplineError {
  constructor(
    readonly pass: "parse" | "semantic",
    readonly problem: string,
    readonly position: Position,
    sourceLine: string,
    hint = "",
  ) {
    super(describe(pass, problem, position, sourceLine, hint));
  }
}

function describe(pass: "parse" | "semantic", problem: string, at: Position, line: string, hint: string): string {
  const caret = " ".repeat(Math.max(0, at.column - 1)) + "^";
  return `${pass} error: ${problem}${hint}\n        at: ${formatPosition(at)}\n     source: ${line}\n             ${caret}`;
}

/** The texts of a script and its libraries, for messages. */
export class Sources {
  private readonly lines = new Map<string, readonly string[]>();

  add(file: string, text: string): void {
    this.lines.set(file, text.split("\n"));
  }

  problem(pass: "parse" | "semantic", problem: string, position: Position, hint = ""): ScriptProblem {
    const line = this.lines.get(position.file)?.[position.line - 1] ?? "";
    return new ScriptProblem(pass, problem, position, line, hint);
  }
}

/** `" (similar: foo, fool)"`, or nothing: names that differ in little. */
export function similarNames(name: string, known: Iterable<string>): string {
  const near = [...known]
    .map((each) => ({ each, distance: editDistance(name, each) }))
    .filter(({ each, distance }) => distance <= Math.max(1, Math.floor(Math.min(name.length, each.length) / 3)))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 5)
    .map(({ each }) => each);
  return near.length === 0 ? "" : ` (similar: ${near.join(", ")})`;
}

function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1] ? 0 : 1;
      // Both rows have these places by construction.
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + same));
    }
    row = next;
  }
  return row[other.length] as number;
}
