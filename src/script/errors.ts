import { TraplineError } from "../base/errors.js";
import { closest } from "../base/closest.js";
import { formatPosition, type Position } from "./position.js";

/** Pass 1 finds what is no script, pass 2 what is one without a meaning. */
export type Pass = "parse" | "semantic";

/** What is wrong with a script, where. Worded as SystemTap words it, with the token, the line and a caret. */
export class ScriptProblem extends TraplineError {
  constructor(
    readonly pass: Pass,
    readonly problem: string,
    readonly position: Position,
    sourceLine: string,
  ) {
    super(describe(pass, problem, position, sourceLine));
  }
}

function describe(pass: Pass, problem: string, at: Position, line: string): string {
  const token = line.length < at.column ? `${at.file} EOF` : describeToken(line, at);
  const said = pass === "parse" ? `${problem}\n        saw: ${token}` : `${problem}: ${token}`;
  const label = `${pass === "parse" ? "     " : "        "}source: `;
  const caret = " ".repeat(label.length + Math.max(0, at.column - 1));
  return `${pass} error: ${said}\n${label}${line}\n${caret}^`;
}

/** Words that name nothing of a script's own. */
export const KEYWORDS: ReadonlySet<string> = new Set(
  "probe global private function if else for foreach in limit return delete while break continue next string long try catch".split(
    " ",
  ),
);
const WORD = /^(?:[$@]*[A-Za-z_][A-Za-z0-9_]*|[$@](?:[0-9]+|#))/;
const NUMBER = /^[0-9][0-9A-Za-z]*/;
const STRING = /^"((?:[^"\\]|\\.)*)"?/;
const OPERATOR = /^(?:<<<|<<=|>>=|>>>|\+\+|--|&&|\|\||[=!<>+\-*/%&|^.]=|<<|>>|->|=~|!~|%[()?:{}]|.)/;

/** How SystemTap names a token: `identifier 'x' at FILE:LINE:COLUMN`. */
function describeToken(line: string, at: Position): string {
  return `${kindOfToken(line.slice(at.column - 1))} at ${formatPosition(at)}`;
}

function kindOfToken(text: string): string {
  if (text.startsWith("%{")) return "embedded-code";
  const word = WORD.exec(text)?.[0];
  if (word !== undefined) return KEYWORDS.has(word) ? "keyword" : `identifier '${word}'`;
  const number = NUMBER.exec(text)?.[0];
  if (number !== undefined) return `number '${number}'`;
  const string = STRING.exec(text);
  if (string !== null) return `string '${string[1] ?? ""}'`;
  return `operator '${OPERATOR.exec(text)?.[0] ?? ""}'`;
}

/** The texts of a script and its libraries, for messages. */
export class Sources {
  private readonly lines = new Map<string, readonly string[]>();

  add(file: string, text: string): void {
    this.lines.set(file, text.split("\n"));
  }

  /** @param hint said behind the problem, e.g. {@link similarNames} */
  problem(pass: Pass, problem: string, position: Position, hint = ""): ScriptProblem {
    return new ScriptProblem(pass, problem + hint, position, this.line(position));
  }

  /** The token at a position, for messages about what it does: `operator '/' at FILE:LINE:COLUMN`. */
  near(position: Position): string {
    return describeToken(this.line(position), position);
  }

  private line(position: Position): string {
    return this.lines.get(position.file)?.[position.line - 1] ?? "";
  }
}

/** `" (similar: foo)"`, or nothing: the name that a mistyped one most likely meant. */
export function similarNames(name: string, known: Iterable<string>): string {
  const near = closest(name, known);
  return near === undefined ? "" : ` (similar: ${near})`;
}
