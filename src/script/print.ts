import { assertNever } from "../base/assert-never.js";
import { escapeByte } from "../runtime/c-escapes.js";
import type * as ast from "./ast.js";

const INDENT = "  ";

/**
 * A parsed script as text (`-p1`): every operator's operands in parentheses, so that a reader sees how
 * the parser bound them. Parsed again it gives the same script.
 */
export function printScript(script: ast.Script): string {
  const parts = [
    ...script.globals.map((global) => `${globalText(global)}\n`),
    ...script.functions.map(
      (fn) =>
        `function ${fn.name}${typed(fn.returns)}(${fn.parameters.map(parameter).join(", ")}) ${block(fn.body, "")}\n`,
    ),
    ...script.aliases.map(
      (alias) =>
        `probe ${alias.name.join(".")} ${alias.epilogue ? "+=" : "="} ${points(alias.points)} ${block(alias.body, "")}\n`,
    ),
    ...script.probes.map(
      (probe) =>
        `probe ${probe.phases.join(", ")}${probe.phases.length > 0 ? " " : ""}${points(probe.points)} ${block(probe.body, "")}\n`,
    ),
  ];
  return parts.join("");
}

function printPoint(point: ast.PointNode): string {
  const components = point.components.map(({ name, argument }) => {
    if (argument === undefined) return name;
    return `${name}(${typeof argument === "string" ? quoted(argument) : argument.toString()})`;
  });
  return `${components.join(".")}${point.optional ? "?" : point.sufficient ? "!" : ""}`;
}

function points(list: readonly ast.PointNode[]): string {
  return list.map(printPoint).join(", ");
}

function globalText(global: ast.GlobalNode): string {
  const size = global.size === undefined ? "" : `[${global.size.toString()}]`;
  const initial = global.initial === undefined ? "" : ` = ${printExpression(global.initial)}`;
  return `global ${global.name}${global.wraps ? "%" : ""}${size}${initial}`;
}

function parameter(each: ast.FunctionNode["parameters"][number]): string {
  return `${each.name}${typed(each.type)}`;
}

function typed(type: ast.TypeName | undefined): string {
  return type === undefined ? "" : `:${type}`;
}

/** @param margin blanks in front of the line that the block begins in */
function block(node: ast.Block, margin: string): string {
  const inner = margin + INDENT;
  return `{\n${node.statements.map((each) => `${inner}${statement(each, inner)}\n`).join("")}${margin}}`;
}

function statement(node: ast.Statement, margin: string): string {
  switch (node.kind) {
    case "block":
      return block(node, margin);
    case "empty":
      return ";";
    case "expression":
      return `${printExpression(node.expression)};`;
    case "if": {
      const otherwise = node.otherwise === undefined ? "" : ` else ${statement(node.otherwise, margin)}`;
      return `if (${printExpression(node.condition)}) ${statement(node.then, margin)}${otherwise}`;
    }
    case "for": {
      const [initial, condition, step] = [node.initial, node.condition, node.step].map(optional);
      return `for (${initial}; ${condition}; ${step}) ${statement(node.body, margin)}`;
    }
    case "foreach":
      return `foreach (${iteration(node)}) ${statement(node.body, margin)}`;
    case "break":
    case "continue":
    case "next":
      return `${node.kind};`;
    case "return":
      return `return${node.value === undefined ? "" : ` ${printExpression(node.value)}`};`;
    case "delete":
      return `delete ${printExpression(node.target)};`;
    case "try": {
      const message = node.message === undefined ? "" : ` (${node.message})`;
      return `try ${statement(node.body, margin)} catch${message} ${statement(node.handler, margin)}`;
    }
    default:
      return assertNever(node);
  }
}

function optional(node: ast.Expression | undefined): string {
  return node === undefined ? "" : printExpression(node);
}

function iteration(node: ast.ForeachNode): string {
  const sign = node.descending ? "-" : "+";
  const keys = node.keys.map((key, index) => (node.sortBy === index + 1 ? key + sign : key));
  const value = node.value === undefined ? "" : `${node.value} = `;
  const slice = node.slice.length === 0 ? "" : `[${list(node.slice)}]`;
  const statistic = node.statistic === undefined ? "" : ` @${node.statistic}`;
  const limit = node.limit === undefined ? "" : ` limit ${printExpression(node.limit)}`;
  return `${value}[${keys.join(", ")}] in ${node.array}${slice}${statistic}${node.sortBy === 0 ? sign : ""}${limit}`;
}

/** An expression as `-p1` shows it. */
export function printExpression(node: ast.Expression): string {
  switch (node.kind) {
    case "number":
      // Literals have no sign: what was written above 2^63 - 1 is written so again.
      return node.value < 0n ? `0x${BigInt.asUintN(64, node.value).toString(16)}` : node.value.toString();
    case "string":
      return quoted(node.value);
    case "name":
      return node.name;
    case "context":
      return contextVariable(node);
    case "register":
    case "load":
    case "bits":
    case "static-address":
    case "show":
      throw new Error("a script as it was written has no context variable resolved");
    case "element":
      return `${node.name}[${list(node.keys)}]`;
    case "call":
      return `${node.name}(${list(node.arguments)})`;
    case "unary":
      return `${node.operator}${operand(node.operand)}`;
    case "increment": {
      const sign = node.by === 1n ? "++" : "--";
      return node.prefix ? `${sign}${operand(node.target)}` : `${operand(node.target)}${sign}`;
    }
    case "binary":
      return `${operand(node.left)} ${node.operator} ${operand(node.right)}`;
    case "assign":
      return `${operand(node.target)} ${node.operator} ${operand(node.value)}`;
    case "ternary":
      return `${operand(node.condition)} ? ${operand(node.then)} : ${operand(node.otherwise)}`;
    case "in":
      return `[${list(node.keys)}] in ${node.array}`;
    case "statistic":
      return `@${node.name}(${[operand(node.operand), ...node.parameters.map(String)].join(", ")})`;
    case "wildcard":
      return "*";
    case "defined":
    case "entry":
      return `@${node.kind}(${printExpression(node.operand)})`;
    default:
      return assertNever(node);
  }
}

function contextVariable(node: ast.ContextNode): string {
  const steps = node.steps.map((step) =>
    step.kind === "member" ? `->${step.name}` : `[${printExpression(step.index)}]`,
  );
  return `${node.address ? "&" : ""}${contextBase(node.base)}${steps.join("")}${"$".repeat(node.shown)}`;
}

function contextBase(base: ast.ContextBase): string {
  switch (base.kind) {
    case "variable":
      return `$${base.name}`;
    case "list":
      return `$$${base.name}`;
    case "static": {
      const file = base.file === undefined ? "" : `@${base.file}`;
      return `@var(${quoted(base.name + file)}${inModule(base.module)})`;
    }
    case "cast":
      return `@cast(${printExpression(base.operand)}, ${quoted(base.type)}${inModule(base.module)})`;
    default:
      return assertNever(base);
  }
}

function inModule(module: string | undefined): string {
  return module === undefined ? "" : `, ${quoted(module)}`;
}

function list(nodes: readonly ast.Expression[]): string {
  return nodes.map(printExpression).join(", ");
}

/** In parentheses, unless it is of one piece. */
function operand(node: ast.Expression): string {
  switch (node.kind) {
    case "unary":
    case "increment":
    case "binary":
    case "assign":
    case "ternary":
    case "in":
      return `(${printExpression(node)})`;
    case "number":
    case "string":
    case "name":
    case "element":
    case "call":
    case "statistic":
    case "wildcard":
    case "context":
    case "defined":
    case "entry":
    case "register":
    case "load":
    case "bits":
    case "static-address":
    case "show":
      return printExpression(node);
    default:
      return assertNever(node);
  }
}

function quoted(bytes: string): string {
  let text = "";
  for (let index = 0; index < bytes.length; index++) text += escapeByte(bytes.charCodeAt(index), '"');
  return `"${text}"`;
}
