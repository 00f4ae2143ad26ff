import assert from "node:assert/strict";
import { test } from "node:test";
import { compileText, problemOf } from "./run.js";

test("a parse error names the token, the place and shows the line with a caret", () => {
  assert.equal(
    problemOf("probe begin {\n  x = }"),
    [
      "parse error: expected value",
      "        saw: operator '}' at test.stp:2:7",
      "     source:   x = }",
      "                   ^",
    ].join("\n"),
  );
});

test("a semantic error likewise", () => {
  assert.equal(
    problemOf("probe begin { pritnf(1) }"),
    [
      "semantic error: unresolved function (similar: printf): identifier 'pritnf' at test.stp:1:15",
      "        source: probe begin { pritnf(1) }",
      "                              ^",
    ].join("\n"),
  );
});

/** What a script is refused with: the first line, the second for parse errors. */
const REFUSED: readonly (readonly [what: string, script: string, ...lines: string[]])[] = [
  ["a missing brace", "probe begin { print(1)", "parse error: expected '}'", "saw: test.stp EOF"],
  [
    "a missing parenthesis",
    "probe begin { if x print(1) }",
    "parse error: expected '('",
    "saw: identifier 'x' at test.stp:1:18",
  ],
  [
    "a string without end",
    'probe begin { print("abc) }',
    "parse error: Could not find matching closing quote",
  ],
  [
    "an octal number with a 9",
    "probe begin { x = 09 }",
    "parse error: number invalid or out of range",
    "saw: number '09' at test.stp:1:19",
  ],
  [
    "a number of more than 64 bits",
    "probe begin { x = 99999999999999999999 }",
    "parse error: number invalid or out of range",
  ],
  [
    "something else than a declaration",
    "prob begin { }",
    "parse error: expected 'probe', 'global', 'private', 'function', or '%{'",
    "saw: identifier 'prob' at test.stp:1:1",
  ],
  [
    "a keyword as a name",
    "probe begin { x = global }",
    "parse error: expected value",
    "saw: keyword at test.stp:1:19",
  ],
  [
    "an unknown macro",
    "probe begin { x = @cont(s) }",
    "parse error: unknown statistic operator or macro @cont (similar: count)",
  ],
  [
    "embedded C as a body",
    "probe begin %{ int x; %}",
    "parse error: embedded C code is not supported: write it in the language itself",
  ],
  [
    "embedded C at the top",
    "%{ #include 'x' %} probe begin { }",
    "parse error: embedded C code is not supported: write it in the language itself",
  ],
  [
    "embedded C as a function",
    "function f() %{ %} probe begin { }",
    "parse error: embedded C code is not supported: write it in the language itself",
  ],
  ["an assignment to a value", "probe begin { 1 = 2 }", "parse error: Expecting lvalue for assignment"],
  [
    "two sort directions",
    "global a; probe begin { foreach ([x+, y-] in a) ; }",
    "parse error: multiple sort directives",
  ],
  [
    "a context variable where no code is",
    "probe begin { x = $foo }",
    "semantic error: unresolved target-symbol expression: no code of the target is concerned here: identifier '$foo' at test.stp:1:19",
  ],
  [
    "a context variable of code without types",
    'probe process("x").function("f") { x = $foo }',
    "semantic error: unresolved target-symbol expression: no type information of this code is known: identifier '$foo' at test.stp:1:40",
  ],
  [
    "@cast without types",
    'probe begin { x = @cast(1, "t")->y }',
    "semantic error: no type information is known: identifier '@cast' at test.stp:1:19",
  ],
  [
    "a write to a context variable",
    "probe begin { $x = 1 }",
    "semantic error: write to target variable not permitted: there is no guru mode: operator '=' at test.stp:1:18",
  ],
  [
    "a count of a context variable",
    "probe begin { $x->y++ }",
    "semantic error: write to target variable not permitted: there is no guru mode",
  ],
  [
    "@probewrite",
    "probe begin { x = @probewrite($y) }",
    "parse error: @probewrite: context variables cannot be written, there is no guru mode",
  ],
  ["@const", 'probe begin { x = @const("X") }', "parse error: @const: constants of C's preprocessor"],
  [
    "a member of what is shown",
    "probe begin { x = $y$->z }",
    "parse error: -> and [ are not accepted for a pretty-printing variable",
    "saw: operator '->' at test.stp:1:22",
  ],
  [
    "the address of what is shown",
    "probe begin { x = &$y$ }",
    "parse error: cannot take address of pretty-printed variable",
  ],
  ["the address of a value", "probe begin { x = &y }", "parse error: expected '$' or '@' behind '&'"],
  [
    "a list of context variables that we do not know",
    "probe begin { x = $$all }",
    "parse error: unknown list of context variables $$all",
  ],
  ["@cast without a type", "probe begin { x = @cast(1) }", "parse error: expected ','"],
  ["@cast to nothing", 'probe begin { x = @cast(1, "") }', "parse error: expected non-empty string"],
  [
    "a string where a long belongs",
    'probe begin { x = "a" + 1 }',
    "semantic error: type mismatch: expected long but found string: string 'a' at test.stp:1:19",
  ],
  [
    "a variable of two types",
    'probe begin { x = 1\n x = "a" }',
    "semantic error: type mismatch: expected long but found string: string 'a' at test.stp:2:6",
  ],
  [
    "a function of two types",
    'function f(a) { return a } probe begin { f(1) f("s") }',
    "semantic error: type mismatch: expected long but found string: string 's' at test.stp:1:49",
  ],
  [
    "an array that is not global",
    "probe begin { a[1] = 2 }",
    "semantic error: unresolved arity-1 global array a, missing global declaration?: identifier 'a' at test.stp:1:15",
  ],
  [
    "an array with other keys",
    "global a; probe begin { a[1] = 2; a[1,2] = 3 }",
    "semantic error: inconsistent arity (2 vs 1): identifier 'a' at test.stp:1:35",
  ],
  [
    "an array as a scalar",
    "global a; probe begin { a[1] = 2; print(a) }",
    "semantic error: inconsistent arity (0 vs 1): identifier 'a' at test.stp:1:41",
  ],
  [
    "keys of two types",
    'global a; probe begin { a[1] = 2; a["x"] = 3 }',
    "semantic error: type mismatch: expected long but found string: string 'x' at test.stp:1:37",
  ],
  [
    "too many arguments",
    "function f(a) { } probe begin { f(1, 2) }",
    "semantic error: arity mismatch found (function 'f' takes 1 args): identifier 'f' at test.stp:1:33",
  ],
  [
    "the value of a function that has none",
    "function f() { } probe begin { x = f() }",
    "semantic error: unresolved type (the function returns no value): identifier 'f' at test.stp:1:36",
  ],
  [
    "break outside of a loop",
    "probe begin { break }",
    "semantic error: cannot 'break' outside loop: keyword at test.stp:1:15",
  ],
  [
    "return in a probe",
    "probe begin { return 1 }",
    "semantic error: found 'return' not in function context: keyword at test.stp:1:15",
  ],
  [
    "a global twice",
    "global x; global x; probe begin { }",
    "semantic error: duplicate global name: identifier 'x' at test.stp:1:18",
  ],
  [
    "a function twice",
    "function f() { } function f() { } probe begin { }",
    "semantic error: conflicting functions: identifier 'f' at test.stp:1:27",
  ],
  [
    "a statistic as a value",
    "global s; probe begin { s <<< 1; print(s) }",
    "semantic error: a statistic has no value: read it by @count, @sum, @min, @max, @avg or @variance: identifier 's' at test.stp:1:40",
  ],
  [
    "a statistic that is a long elsewhere",
    "global s; probe begin { s <<< 1; s = 2 }",
    "semantic error: type mismatch: expected stats but found long: number '2' at test.stp:1:38",
  ],
  [
    "a local statistic",
    "probe begin { s <<< 1 }",
    "semantic error: stat locals not supported, missing global declaration?: identifier 's' at test.stp:1:15",
  ],
  [
    "no array to go over",
    "probe begin { foreach (k in nosuch) ; }",
    "semantic error: unresolved global array",
  ],
  [
    "a format that is no literal",
    "probe begin { printf(x) }",
    "semantic error: expected literal format string in printf",
  ],
  [
    "too few arguments of printf",
    'probe begin { printf("%d") }',
    "semantic error: Wrong number of args to formatted print operator",
  ],
  [
    "a string for %d",
    'probe begin { printf("%d", "x") }',
    "semantic error: type mismatch: expected long but found string: string 'x' at test.stp:1:28",
  ],
  [
    "a wrong regular expression",
    'probe begin { x = "a" =~ "(" }',
    "semantic error: regex compilation error (at position 1): expected ), found end of regex",
  ],
  [
    "a name that only JavaScript knows",
    "probe begin { constructor(1) }",
    "semantic error: unresolved function",
  ],
  [
    "a wildcard that reads",
    "global a; probe begin { a[1] = 1; x = a[*] }",
    "semantic error: wildcard not allowed in array index: operator '*' at test.stp:1:41",
  ],
  [
    "an alias of itself",
    "probe a = b { } probe b = a { } probe a { }",
    "semantic error: recursive loop in alias expansion of a",
  ],
  ["no probes", "global x", "semantic error: no probes found"],
];

for (const [what, script, ...wanted] of REFUSED) {
  test(`${what} is refused, in SystemTap's words`, () => {
    const [first = "", second = ""] = problemOf(script).split("\n");
    assert.equal(first.slice(0, wanted[0]?.length), wanted[0]);
    if (wanted[1] !== undefined) assert.equal(second.trim(), wanted[1]);
  });
}

test("a problem in a library names the library's file", () => {
  const library = [{ name: "tapset/x.stp", text: "function f() {\n return 1 +\n}" }];
  assert.match(problemOf("probe begin { }", { library }), /saw: operator '\}' at tapset\/x\.stp:3:1/);
});

test("a variable that nothing assigns is warned of, with the name that was likely meant", () => {
  assert.deepEqual(compileText("global count\nprobe begin { counter = 1; print(countre, count) }").warnings, [
    "never-assigned local variable 'countre' (similar: counter): identifier 'countre' at test.stp:2:34",
    "never-assigned global variable 'count': identifier 'count' at test.stp:1:8",
  ]);
  assert.deepEqual(
    compileText(
      "global a, g = 1; function f(p) { return p } probe begin { a[1]++; foreach (k in a) print(k, f(1), g) }",
    ).warnings,
    [],
  );
});
