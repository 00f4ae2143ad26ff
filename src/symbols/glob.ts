/**
 * SystemTap's patterns for names of functions and files: what fnmatch(3) with no flags takes, that
 * is `*`, `?`, `[a-z]`, `[!a-z]` or `[^a-z]`, `[[:alpha:]]`, and `\` before a character that shall
 * stand for itself. `*` matches `/` too. Braces are no pattern here: `{a,b}` in a probe point is
 * expanded by the parser, before a name is looked up (stapprobes(3stap)).
 */
export interface Glob {
  readonly pattern: string;
  /** The name itself, with escapes undone, where the pattern has no wildcard. */
  readonly exact: string | undefined;
  /** Takes time proportional to the lengths of pattern and name multiplied, never more. */
  matches(name: string): boolean;
}

type Token =
  | { readonly kind: "any-string" }
  | { readonly kind: "any-character" }
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "set"; readonly negated: boolean; readonly members: readonly SetMember[] };

type SetMember = { readonly from: string; readonly to: string } | { readonly test: RegExp };

/** POSIX character classes in the C locale. POSIX.1-2017, base definitions, 7.3.1. */
const CHARACTER_CLASSES: Readonly<Record<string, RegExp>> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,

  cntrl: /[\x00-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

export function compileGlob(pattern: string): Glob {
  const tokens = tokenize(pattern);
  const characters = tokens.map((token) => (token.kind === "character" ? token.character : undefined));
  const exact = characters.includes(undefined) ? undefined : characters.join("");
  const everything = tokens.length === 1 && tokens[0]?.kind === "any-string";
  const matches =
    exact !== undefined
      ? (name: string) => name === exact
      : everything
        ? () => true
        : (name: string) => matchTokens(tokens, name);
  return { pattern, exact, matches };
}

function tokenize(pattern: string): Token[] {
  const tokens: Token[] = [];
  const unclosed = new Set<number>();
  let at = 0;
  while (at < pattern.length) {
    const character = pattern.charAt(at);
    at += 1;
    if (character === "*") {
      // Two stars in a row are one; keeping them single keeps the matcher's backtracking cheap.
      if (tokens.at(-1)?.kind !== "any-string") tokens.push({ kind: "any-string" });
    } else if (character === "?") {
      tokens.push({ kind: "any-character" });
    } else if (character === "\\" && at < pattern.length) {
      tokens.push({ kind: "character", character: pattern.charAt(at) });
      at += 1;
    } else {
      const set = character === "[" ? parseSet(pattern, at, unclosed) : undefined;
      if (set === undefined) {
        tokens.push({ kind: "character", character });
      } else {
        tokens.push(set.token);
        at = set.end;
      }
    }
  }
  return tokens;
}

const NAMED_CLASS = /\[:([a-z]+):\]/y;

/**
 * A bracket expression whose `[` stands before `at`; undefined where it is not closed: then `[` is a character.
 *
 * @param unclosed places of members from which no end was found: looked for once, however many `[` stand before them
 */
function parseSet(
  pattern: string,
  at: number,
  unclosed: Set<number>,
): { token: Token; end: number } | undefined {
  const members: SetMember[] = [];
  const negated = pattern.charAt(at) === "!" || pattern.charAt(at) === "^";
  const first = negated ? at + 1 : at;
  const passed: number[] = [];
  let next = first;
  while (next < pattern.length) {
    // A `]` in the first place is a member.
    if (pattern.charAt(next) === "]" && next > first) {
      return { token: { kind: "set", negated, members }, end: next + 1 };
    }
    if (next > first) {
      if (unclosed.has(next)) break;
      passed.push(next);
    }
    NAMED_CLASS.lastIndex = next;
    const named = pattern.charAt(next) === "[" ? NAMED_CLASS.exec(pattern) : null;
    const test = named?.[1] === undefined ? undefined : CHARACTER_CLASSES[named[1]];
    if (named !== null && test !== undefined) {
      members.push({ test });
      next += named[0].length;
      continue;
    }
    if (pattern.charAt(next) === "\\" && next + 1 < pattern.length) next += 1;
    const from = pattern.charAt(next);
    next += 1;
    if (pattern.charAt(next) === "-" && next + 1 < pattern.length && pattern.charAt(next + 1) !== "]") {
      next += 1;
      if (pattern.charAt(next) === "\\" && next + 1 < pattern.length) next += 1;
      members.push({ from, to: pattern.charAt(next) });
      next += 1;
    } else {
      members.push({ from, to: from });
    }
  }
  for (const each of passed) unclosed.add(each);
  return undefined;
}

/** Goes back to the last `*` only: an earlier one could not match more than it did. */
function matchTokens(tokens: readonly Token[], name: string): boolean {
  let token = 0;
  let at = 0;
  let starToken = -1;
  let starAt = 0;
  while (at < name.length) {
    const current = tokens[token];
    if (current?.kind === "any-string") {
      starToken = token;
      starAt = at;
      token += 1;
    } else if (current !== undefined && matchOne(current, name.charAt(at))) {
      token += 1;
      at += 1;
    } else if (starToken >= 0) {
      starAt += 1;
      token = starToken + 1;
      at = starAt;
    } else {
      return false;
    }
  }
  while (tokens[token]?.kind === "any-string") token += 1;
  return token === tokens.length;
}

function matchOne(token: Exclude<Token, { kind: "any-string" }>, character: string): boolean {
  switch (token.kind) {
    case "any-character":
      return true;
    case "character":
      return token.character === character;
    case "set": {
      const member = token.members.some((one) =>
        "test" in one ? one.test.test(character) : character >= one.from && character <= one.to,
      );
      return member !== token.negated;
    }
  }
}
