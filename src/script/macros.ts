import type { Sources } from "./errors.js";
import type { Token } from "./lex.js";

/** `@define NAME(PARAMETERS) %( BODY %)`; SystemTap language reference, 2.7. */
export interface Macro {
  readonly parameters: readonly string[];
  readonly body: readonly Token[];
}

/** Reads a definition that starts behind its `@define`. @throws ScriptProblem */
export function readMacro(
  source: TokenSource,
  start: Token,
  sources: Sources,
): { readonly name: string; readonly macro: Macro } {
  const name = source.next();
  if (name.kind !== "identifier") throw sources.problem("parse", "expected identifier", name.position);
  const parameters: string[] = [];
  let open = source.next();
  if (open.text === "(") {
    do {
      const parameter = source.next();
      if (parameter.kind !== "identifier")
        throw sources.problem("parse", "expected identifier", parameter.position);
      parameters.push(parameter.text);
      open = source.next();
    } while (open.text === ",");
    if (open.text !== ")") throw sources.problem("parse", "expected ',' or ')'", open.position);
    open = source.next();
  }
  if (open.text !== "%(") throw sources.problem("parse", "expected '%('", open.position);
  const body: Token[] = [];
  for (let depth = 1; ;) {
    const token = source.next();
    if (token.kind === "end")
      throw sources.problem("parse", "incomplete macro definition - missing '%)'", start.position);
    if (token.text === "@define")
      throw sources.problem("parse", "'@define' forbidden inside macro body", token.position);
    if (token.kind === "operator" && token.text === "%(") depth++;
    if (token.kind === "operator" && token.text === "%)" && --depth === 0) break;
    body.push(token);
  }
  return { name: name.text, macro: { parameters, body } };
}

/** Reads the arguments of a use, from its `(` on: what commas outside of brackets separate. @throws ScriptProblem */
export function readArguments(source: TokenSource, use: Token, sources: Sources): Token[][] {
  source.next();
  const found: Token[][] = [[]];
  for (let depth = 1; ;) {
    const token = source.next();
    if (token.kind === "end")
      throw sources.problem("parse", "could not find end of macro invocation", use.position);
    if (token.kind === "operator") {
      if ("([{".includes(token.text)) depth++;
      if (")]}".includes(token.text) && --depth === 0)
        return found.length === 1 && found[0]?.length === 0 ? [] : found;
      if (token.text === "," && depth === 1) {
        found.push([]);
        continue;
      }
    }
    found.at(-1)?.push(token);
  }
}

/** How many tokens {@link expandMacro} would give at most, told without making them. */
export function expandedSize({ body, parameters }: Macro, args: readonly Token[][]): number {
  let size = body.length;
  for (const token of body) {
    if (token.text.startsWith("@")) size += args[parameters.indexOf(token.text.slice(1))]?.length ?? 0;
  }
  return size;
}

/** The body of a macro with its arguments in place. @throws ScriptProblem too few or too many of them */
export function expandMacro(use: Token, macro: Macro, args: readonly Token[][], sources: Sources): Token[] {
  const { parameters, body } = macro;
  if (args.length !== parameters.length) {
    const few = args.length < parameters.length ? "few" : "many";
    const problem = `too ${few} parameters for macro '${use.text}' (expected ${String(parameters.length)})`;
    throw sources.problem("parse", problem, use.position);
  }
  return body.flatMap((token) => {
    const index = token.text.startsWith("@") ? parameters.indexOf(token.text.slice(1)) : -1;
    return args[index] ?? [token];
  });
}

/** Tokens one after the other; expansions go in front of the rest. */
export class TokenSource {
  /** The rest, last first. */
  private readonly rest: Token[];
  private readonly end: Token;

  constructor(tokens: readonly Token[]) {
    this.rest = tokens.toReversed();
    // The lexer ends every script by such a token.
    this.end = tokens.at(-1) as Token;
  }

  get empty(): boolean {
    return this.rest.length === 0;
  }

  peek(): Token {
    return this.rest.at(-1) ?? this.end;
  }

  next(): Token {
    return this.rest.pop() ?? this.end;
  }

  insert(tokens: readonly Token[]): void {
    for (const token of tokens.toReversed()) this.rest.push(token);
  }
}
