import { INTRINSICS } from "../ir/intrinsics.js";
import type { PlainProbe } from "./aliases.js";
import type * as ast from "./ast.js";
import { PRINTERS } from "./lower-expressions.js";

/** Functions of the runtime whose call is an end in itself, though they give a value. */
const TELLING: ReadonlySet<string> = new Set([
  "user_string_warn",
  "user_string_n_warn",
  "randint",
  "tokenize",
]);

type Functions = ReadonlyMap<string, ast.FunctionNode>;

/** The functions that this code calls, and those that they call, by name. */
export function calledFunctions(code: readonly unknown[], functions: Functions): ReadonlySet<string> {
  const called = new Set<string>();
  const left: unknown[] = [...code];
  while (left.length > 0) {
    visit(left.pop(), (node) => {
      if (node.kind !== "call" || called.has(node.name)) return;
      const callee = functions.get(node.name);
      if (callee === undefined) return;
      called.add(node.name);
      left.push(callee.body);
    });
  }
  return called;
}

/**
 * Takes out of alias bodies what the probe does not ask for: an alias gives a dozen variables, each of which
 * may read the target's memory, to probes that print one. An assignment is taken out where nothing reads its
 * variable and all that its value does is read; the probe's own body stays as it was written.
 *
 * @param globals names that are no variables of the body
 */
export function withoutUnused(
  probe: PlainProbe,
  globals: ReadonlySet<string>,
  functions: Functions,
): PlainProbe {
  if (probe.blocks.length === 1) return probe;
  let { blocks } = probe;
  for (;;) {
    const read = namesRead(blocks, probe.node.body);
    const drops = (node: ast.Expression): boolean =>
      node.kind === "assign" &&
      node.target.kind === "name" &&
      !read.has(node.target.name) &&
      !globals.has(node.target.name) &&
      onlyReads(node.value, globals, functions);
    const pruned = blocks.map((block): ast.Block => {
      if (block === probe.node.body) return block;
      const kept = prune(block, drops, (node) => onlyReads(node, globals, functions));
      return kept?.kind === "block" ? kept : { ...block, statements: [] };
    });
    const before = blocks;
    if (pruned.every((block, index) => block === before[index])) return { ...probe, blocks };
    blocks = pruned;
  }
}

/** Names whose value something uses; `x = …` and `x .= …` as statements of aliases do not. */
function namesRead(blocks: readonly ast.Block[], own: ast.Block): ReadonlySet<string> {
  const read = new Set<string>();
  for (const block of blocks) {
    const assigned = new Set<unknown>();
    visit(block, (node) => {
      if (node.kind === "expression" && block !== own && node.expression.kind === "assign")
        assigned.add(node.expression.target);
      if (node.kind === "name" && !assigned.has(node)) read.add(node.name);
      if (node.kind === "element") read.add(node.name);
    });
  }
  return read;
}

/** @returns the statement itself where nothing of it goes; undefined where nothing is left */
function prune(
  statement: ast.Statement,
  drops: (node: ast.Expression) => boolean,
  onlyRead: (node: ast.Expression) => boolean,
): ast.Statement | undefined {
  if (statement.kind === "expression") return drops(statement.expression) ? undefined : statement;
  if (statement.kind === "block") {
    const kept = statement.statements.map((each) => prune(each, drops, onlyRead));
    if (kept.every((each, index) => each === statement.statements[index])) return statement;
    const statements = kept.filter((each) => each !== undefined);
    return statements.length === 0 ? undefined : { ...statement, statements };
  }
  if (statement.kind === "if") {
    const then = prune(statement.then, drops, onlyRead);
    const otherwise = statement.otherwise && prune(statement.otherwise, drops, onlyRead);
    if (then === statement.then && otherwise === statement.otherwise) return statement;
    if (then === undefined && otherwise === undefined && onlyRead(statement.condition)) return undefined;
    return { ...statement, then: then ?? { kind: "empty", position: statement.position }, otherwise };
  }
  return statement;
}

/** Nothing but its value comes of it. A read that would fault, which nobody asked for, is not missed. */
function onlyReads(
  code: unknown,
  globals: ReadonlySet<string>,
  functions: Functions,
  under: ReadonlySet<string> = new Set(),
): boolean {
  let reads = true;
  visit(code, (node) => {
    if (node.kind === "call") reads &&= callOnlyReads(node.name, globals, functions, under);
    // Of a function's own variables: it has none of the probe's.
    else if (node.kind === "assign" || node.kind === "increment")
      reads &&= under.size > 0 && node.target.kind === "name" && !globals.has(node.target.name);
    else if (node.kind === "delete" || node.kind === "next") reads = false;
  });
  return reads;
}

function callOnlyReads(
  name: string,
  globals: ReadonlySet<string>,
  functions: Functions,
  under: ReadonlySet<string>,
): boolean {
  if (under.has(name)) return true;
  const callee = functions.get(name);
  if (callee !== undefined) return onlyReads(callee.body, globals, functions, new Set([...under, name]));
  if (PRINTERS.has(name)) return PRINTERS.get(name)?.returns === true;
  const intrinsic = INTRINSICS[name];
  return intrinsic !== undefined && intrinsic.returns !== "void" && !TELLING.has(name);
}

/** Every node of a piece of code, those that hold others first. */
function visit(code: unknown, see: (node: ast.Expression | ast.Statement) => void): void {
  // No recursion: code may be nested as deep as the parser lets it be.
  const left: unknown[] = [code];
  while (left.length > 0) {
    const part = left.pop();
    if (typeof part !== "object" || part === null) continue;
    if ("kind" in part) see(part as ast.Expression | ast.Statement);
    const parts = Object.values(part);
    for (let index = parts.length - 1; index >= 0; index--) left.push(parts[index]);
  }
}
