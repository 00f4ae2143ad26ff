import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ScriptProblem } from "../../src/script/errors.js";
import { run } from "../script/run.js";

type Text = fc.Arbitrary<string>;

/** Joins texts that are chosen each by itself; `#1`, `#2` … stand for them in turn. */
function form(pattern: string, ...parts: readonly Text[]): Text {
  return fc
    .tuple(...parts)
    .map((chosen) => pattern.replace(/#(\d)/g, (_all, digit: string) => chosen[Number(digit) - 1] ?? ""));
}

const { long, string } = fc.letrec<{ long: string; string: string }>((tie) => {
  const L = tie("long");
  const S = tie("string");
  return {
    long: fc.oneof(
      { maxDepth: 3, depthIdentifier: "script" },
      fc.constantFrom("0", "1", "16", "0x7fffffffffffffff", "0x8000000000000000", "x", "g", "gk"),
      form("(#1 #3 #2)", L, L, fc.constantFrom("+", "-", "*", "/", "%", "&", "<<", ">>>", "<", "==", "&&")),
      form("(#1 == #2)", S, S),
      form("(- #1)", L),
      form("f(#1, #2)", L, S),
      form("a[#1, #2]", L, S),
      form("([#1, #2] in a)", L, S),
      form("(x #2 #1)", L, fc.constantFrom("=", "+=", "/=", "<<=")),
      form("(a[#1, #2] #4 #3)", L, S, L, fc.constantFrom("=", "-=", "%=")),
      form("a[#1, #2]++", L, S),
      form("@#1(st)", fc.constantFrom("count", "sum", "avg", "variance")),
      form("@max(sa[#1])", L),
      form("strlen(#1)", S),
      form("stringat(#1, #2)", S, L),
      form("user_long(#1)", L),
      form('(#1 =~ "(a|b*)+$")', S),
    ),
    string: fc.oneof(
      { maxDepth: 3, depthIdentifier: "script" },
      fc.constantFrom('"q"', '""', "s", "t", "gm"),
      form("(#1 . #2)", S, S),
      form('sprintf("%d %s", #1, #2)', L, S),
      form("substr(#1, #2, #3)", S, L, L),
      form("fs(#1)", S),
      form("(#1 ? #2 : #3)", L, S, S),
      form("(b[#1] .= #2)", L, S),
      form("user_string(#1)", L),
      form("user_string(#1, #2)", L, S),
    ),
  };
});

/** @param leave what ends a body of this kind early */
function statements(leave: Text): Text {
  const { statement } = fc.letrec<{ statement: string }>((tie) => {
    const A = tie("statement");
    return {
      statement: fc.oneof(
        { maxDepth: 3, depthIdentifier: "statement" },
        form("#1;", fc.oneof(long, string)),
        leave,
        form("print(#1);", fc.oneof(long, string)),
        form("if (#1) { #2 } else { #3 }", long, A, A),
        form("for (y = 0; y < 3; y++) { #1 if (#2) #3; }", A, long, fc.constantFrom("break", "continue")),
        form("try { #1 #2 } catch #4 { #3 }", A, A, A, fc.constantFrom("", "(m)", "(gm)")),
        form("foreach ([k-, gt] in a) { #1 }", A),
        form("foreach (gv = k in sa @sum- limit #2) { #1 }", A, long),
        form("foreach (gk in b) { #1 }", A),
        fc.constantFrom("delete a;", 'delete a[*, "q"];', "delete g;", "delete st;", "delete x;", "v();"),
        form("st <<< #1;", long),
        form("sa[#1] <<< #2;", long, long),
        fc.constant("print(@hist_log(st));"),
      ),
    };
  });
  return statement;
}

const program = form(
  `global g, a, b, st, sa, s = "initial", gm, gk, gt, gv
  function f:long(p:long, q:string) { #1 return p }
  function fs:string(q:string) { #2 return q }
  function v() { #3 }
  probe begin { x = 1; t = ""; a[1, "q"] = 2; b[1] = "w"; #4 #5 }`,
  statements(form("return #1;", long)),
  statements(fc.oneof(form("return #1;", string), fc.constant("return;"))),
  statements(fc.constant("return;")),
  statements(fc.constantFrom("next;", 'error("e");')),
  statements(fc.constantFrom("next;", "v();")),
);

test("whatever a script does, what leaves its handler is an outcome, never an exception of ours", () => {
  let ran = 0;
  let refused = 0;
  fc.assert(
    fc.property(program, (text) => {
      try {
        const { outcomes } = run(text, {
          memory: { 16: "hi there, all of you\0" },
          limits: { MAXFAULT: 5, MAXMAPENTRIES: 4, MAXACTION: 2000 },
        });
        ran++;
        for (const { kind } of outcomes)
          assert.ok(["returned", "error", "handler-fault"].includes(kind), kind);
      } catch (error) {
        if (!(error instanceof ScriptProblem)) throw error;
        refused++;
      }
    }),
    { numRuns: 600 },
  );
  // Else nothing was shown: most of what the grammar above makes is a script.
  assert.ok(ran > 5 * refused, `ran ${ran}, refused ${refused}`);
});
