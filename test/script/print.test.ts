import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type * as ast from "../../src/script/ast.js";
import { Sources } from "../../src/script/errors.js";
import { lex } from "../../src/script/lex.js";
import { parse } from "../../src/script/parse.js";
import { printScript } from "../../src/script/print.js";

function parsed(text: string): ast.Script {
  const sources = new Sources();
  return parse(lex("test.stp", text, sources), sources);
}

/** All that is said, without where. */
function meaning(script: ast.Script): unknown {
  const text = JSON.stringify(script, (key, value: unknown) => {
    if (key === "position") return undefined;
    return typeof value === "bigint" ? `${value.toString()}n` : value;
  });
  return JSON.parse(text) as unknown;
}

function printed(body: string): string {
  return printScript(parsed(`probe begin { ${body} }`));
}

test("a printed script shows how operators were bound", () => {
  assert.equal(printed("x = 1 + 2 * 3"), "probe begin {\n  x = (1 + (2 * 3));\n}\n");
  assert.equal(printed('a = b . "c" == d'), 'probe begin {\n  a = ((b . "c") == d);\n}\n');
  assert.equal(printed("-x++"), "probe begin {\n  -(x++);\n}\n");
});

test("declarations, probes and statements print as a script", () => {
  const text = `global a%[10], s = "q\\n\\x01"
probe my.alias = begin, end {}
function f:string(x:long, y) { return y }
probe post, fault process("ls").function("m*").call?, timer.ms(10)! {
  foreach (v = [k, l-] in a[*, 3] limit 5) if (v) break; else { continue }
  while (x) try { next() } catch (m) { delete a[1, 2] }
}`;
  assert.equal(
    printScript(parsed(text)),
    `global a%[10]
global s = "q\\n\\001"
function f:string(x:long, y) {
  return y;
}
probe my.alias = begin, end {
}
probe post, fault process("ls").function("m*").call?, timer.ms(10)! {
  foreach (v = [k, l-] in a[*, 3] limit 5) if (v) break; else {
    continue;
  }
  for (; x; ) try {
    next;
  } catch (m) {
    delete a[1, 2];
  }
}
`,
  );
});

const position = { file: "test.stp", line: 1, column: 1 };
// `pre` and its like are words of points only: elsewhere they are names.
const name = fc.constantFrom("x", "y", "pre", "fault", "arr");
const bytes = fc
  .array(fc.integer({ min: 1, max: 127 }), { maxLength: 4 })
  .map((codes) => String.fromCharCode(...codes));

const { expression } = fc.letrec<{ expression: ast.Expression; place: ast.Expression }>((tie) => {
  const inner = tie("expression");
  return {
    place: fc.oneof(
      name.map((each): ast.Expression => ({ kind: "name", position, name: each })),
      fc
        .tuple(name, fc.array(inner, { minLength: 1, maxLength: 2 }))
        .map(([each, keys]): ast.Expression => ({ kind: "element", position, name: each, keys })),
    ),
    expression: fc.oneof(
      { maxDepth: 4, depthIdentifier: "expression" },
      fc
        .bigInt(-(2n ** 63n), 2n ** 63n - 1n)
        .map((value): ast.Expression => ({ kind: "number", position, value })),
      bytes.map((value): ast.Expression => ({ kind: "string", position, value })),
      tie("place"),
      fc
        .tuple(name, fc.array(inner, { maxLength: 3 }))
        .map(([each, args]): ast.Expression => ({ kind: "call", position, name: each, arguments: args })),
      fc
        .tuple(fc.constantFrom("-", "+", "!", "~"), inner)
        .map(([operator, operand]): ast.Expression => ({ kind: "unary", position, operator, operand })),
      fc
        .tuple(fc.constantFrom(1n, -1n), fc.boolean(), tie("place"))
        .map(([by, prefix, target]): ast.Expression => ({ kind: "increment", position, by, prefix, target })),
      fc
        .tuple(
          fc.constantFrom(
            "||",
            "&&",
            "|",
            "^",
            "&",
            "<",
            ">=",
            "==",
            "!=",
            "<<",
            ">>",
            ">>>",
            ".",
            "+",
            "-",
            "*",
            "/",
            "%",
          ),
          inner,
          inner,
        )
        .map(([operator, left, right]): ast.Expression => ({
          kind: "binary",
          position,
          operator,
          left,
          right,
        })),
      fc
        .tuple(fc.constantFrom("=", "+=", "<<=", ".=", "%="), tie("place"), inner)
        .map(([operator, target, value]): ast.Expression => ({
          kind: "assign",
          position,
          operator,
          target,
          value,
        })),
      fc.tuple(inner, inner, inner).map(([condition, then, otherwise]): ast.Expression => ({
        kind: "ternary",
        position,
        condition,
        then,
        otherwise,
      })),
      fc
        .tuple(fc.array(inner, { minLength: 1, maxLength: 2 }), name)
        .map(([keys, array]): ast.Expression => ({ kind: "in", position, keys, array })),
      fc.tuple(fc.constantFrom("count", "avg"), tie("place")).map(([each, operand]): ast.Expression => ({
        kind: "statistic",
        position,
        name: each,
        operand,
        parameters: [],
      })),
    ),
  };
});

function scriptOf(node: ast.Expression): ast.Script {
  const statement: ast.Statement = { kind: "expression", position, expression: node };
  const point: ast.PointNode = {
    position,
    components: [{ name: "begin", argument: undefined, position }],
    optional: false,
    sufficient: false,
  };
  const body: ast.Block = { kind: "block", position, statements: [statement] };
  return {
    globals: [],
    functions: [],
    aliases: [],
    probes: [{ position, phases: [], points: [point], body }],
  };
}

test("any expression, printed and parsed again, is the same expression", () => {
  fc.assert(
    fc.property(expression, (node) => {
      const script = scriptOf(node);
      assert.deepEqual(meaning(parsed(printScript(script))), meaning(script));
    }),
    { numRuns: 1500 },
  );
});

test("context variables print as they were written", () => {
  for (const text of [
    "$file->f_path->dentry->d_name->name",
    "$x->in->next->probe",
    "$argv[i + 1][2]->long",
    "&$x->y[3]",
    "$x$",
    "$x->y$$",
    "$x[1]$",
    "$$vars",
    "$$parms$$",
    "$$locals$",
    "$$return",
    "$return->x",
    '@var("jiffies")',
    '@var("init_task@init/init_task.c", "kernel")->comm$',
    '@cast(x, "task_struct")->pid',
    '@cast($x->y[0], "struct foo *", "kernel<linux/sched.h>")[2]$$',
    '&@cast(x, "list_head")->next',
    "@entry($x->y)",
    "@entry(gettimeofday_us())",
    "@defined($x->y)",
    "@defined(&$x->y)",
  ]) {
    const script = printed(`y = ${text}`);
    assert.equal(script, `probe begin {\n  y = ${text};\n}\n`);
    assert.equal(printed(script.slice(script.indexOf("{") + 1, script.lastIndexOf("}"))), script);
  }
});

test("@choose_defined is a choice by @defined", () => {
  assert.equal(printed("y = @choose_defined($a, $b->c)"), printed("y = @defined($a) ? $a : $b->c"));
});

test("an `&` between operands is what it was", () => {
  assert.equal(printed("y = a & $b"), "probe begin {\n  y = (a & $b);\n}\n");
  assert.equal(printed("y = a & &$b->c"), "probe begin {\n  y = (a & &$b->c);\n}\n");
});
