import { FAULT_FUNCTIONS } from "../ir/intrinsics.js";
import type * as ir from "../ir/ir.js";
import type { Limits } from "../runtime/limits.js";
import type * as ast from "./ast.js";
import { Sources } from "./errors.js";
import { lex } from "./lex.js";
import type { Scope } from "./lower-expressions.js";
import { BodyLowering } from "./lower-statements.js";
import type { Macro } from "./macros.js";
import { parse } from "./parse.js";
import { preprocess } from "./preprocess.js";
import { type FunctionSymbol, makeVariable, type Variable } from "./scope.js";

export interface CompileOptions {
  readonly name: string;
  readonly text: string;
  readonly arguments: readonly string[];
  readonly limits: Limits;
  /** `-G NAME=VALUE`. */
  readonly globals: ReadonlyMap<string, string>;
  /** Scripts of the library: `tapset/*.stp`. */
  readonly library: readonly { readonly name: string; readonly text: string }[];
}

/** A probe as the session arms it: its handler is the one of the same index in the program. */
export interface CompiledProbe {
  readonly node: ast.ProbeNode;
  readonly points: readonly ast.PointNode[];
  readonly phases: readonly ast.PhaseWord[];
  /** The body, or a function that it calls, asks about the instruction fault: row S12. */
  readonly mentionsFault: boolean;
}

export interface Compiled {
  readonly script: ast.Script;
  readonly sources: Sources;
  readonly probes: readonly CompiledProbe[];
  readonly program: ir.Program;
}

/** Pass 1. @throws ScriptProblem */
export function parseScript(options: CompileOptions): { readonly script: ast.Script; readonly library: ast.Script; readonly sources: Sources } {
  const sources = new Sources();
  const macros = new Map<string, Macro>();
  const parts = options.library.map(({ name, text }) => parse(preprocess(lex(name, text, sources), [], sources, macros), sources));
  const tokens = preprocess(lex(options.name, options.text, sources), options.arguments, sources, macros);
  const script = parse(tokens, sources);
  return { script, library: merge(parts), sources };
}

/** Passes 1 and 2. @throws ScriptProblem */
export function compile(options: CompileOptions): Compiled {
  const { script, library, sources } = parseScript(options);
  if (script.probes.length === 0) {
    throw sources.problem("semantic", "no probes found", { file: options.name, line: 1, column: 1 });
  }
  const functions = functionSymbols(script, library, sources);
  const globals = globalVariables([...library.globals, ...script.globals], sources);
  const bodies = script.probes.map((probe) => expandAliases(probe, [...script.aliases, ...library.aliases]));
  const scope: Scope & { final: boolean } = { sources, globals, functions, statistics: new Map(), changed: true, final: false };
  const locals = bodies.map(() => new Map<string, Variable>());
  const lowerAll = (): ir.Program => ({
    globals: [],
    functions: [...functions.values()].map((symbol) => lowerFunction(scope, symbol)),
    handlers: bodies.map((body, index) => {
      const own = locals[index] ?? new Map<string, Variable>();
      return { body: body.blocks.flatMap((block) => new BodyLowering(scope, own, undefined).body(block)), locals: localsOf(own) };
    }),
  });
  while (scope.changed) {
    scope.changed = false;
    lowerAll();
  }
  scope.final = true;
  const program = lowerAll();
  const nodes = new Map([...library.globals, ...script.globals].map((node) => [node.name, node]));
  return {
    script,
    sources,
    program: { ...program, globals: [...globals.values()].map((variable) => lowerGlobal(variable, nodes.get(variable.name), scope, options)) },
    probes: script.probes.map((node, index) => ({
      node,
      points: bodies[index]?.points ?? node.points,
      phases: node.phases,
      mentionsFault: mentions(bodies[index]?.blocks ?? [], functions, new Set()),
    })),
  };
}

function merge(parts: readonly ast.Script[]): ast.Script {
  return {
    probes: parts.flatMap((part) => part.probes),
    aliases: parts.flatMap((part) => part.aliases),
    globals: parts.flatMap((part) => part.globals),
    functions: parts.flatMap((part) => part.functions),
  };
}

function functionSymbols(script: ast.Script, library: ast.Script, sources: Sources): Map<string, FunctionSymbol> {
  const symbols = new Map<string, FunctionSymbol>();
  const add = (node: ast.FunctionNode): void => {
    const parameters = node.parameters.map((parameter) => makeVariable(parameter.name, parameter.position, false, parameter.type));
    symbols.set(node.name, {
      node, parameters, locals: new Map(parameters.map((parameter) => [parameter.name, parameter])),
      returns: node.returns, returnsValue: node.returns !== undefined,
    });
  };
  library.functions.forEach(add);
  const own = new Set<string>();
  for (const node of script.functions) {
    if (own.has(node.name)) throw sources.problem("semantic", "conflicting functions", node.position);
    own.add(node.name);
    add(node);
  }
  return symbols;
}

function globalVariables(nodes: readonly ast.GlobalNode[], sources: Sources): Map<string, Variable> {
  const globals = new Map<string, Variable>();
  for (const node of nodes) {
    if (globals.has(node.name)) throw sources.problem("semantic", "duplicate global name", node.position);
    const variable = makeVariable(node.name, node.position, true);
    if (node.initial !== undefined) variable.type = node.initial.kind === "string" ? "string" : "long";
    globals.set(node.name, variable);
  }
  return globals;
}

function lowerFunction(scope: Scope, symbol: FunctionSymbol): ir.Function {
  const body = new BodyLowering(scope, symbol.locals, symbol).body(symbol.node.body);
  const parameters = symbol.parameters.map((each) => ({ name: each.name, type: each.type ?? "long" }));
  const names = new Set(parameters.map((each) => each.name));
  return {
    name: symbol.node.name,
    parameters,
    locals: localsOf(symbol.locals).filter((local) => !names.has(local.name)),
    returns: symbol.returnsValue ? (symbol.returns ?? "long") : "void",
    body,
  };
}

function localsOf(locals: ReadonlyMap<string, Variable>): ir.Local[] {
  return [...locals.values()].map((each) => ({ name: each.name, type: each.type ?? "long" }));
}

function lowerGlobal(variable: Variable, node: ast.GlobalNode | undefined, scope: Scope, options: CompileOptions): ir.Global {
  const type = variable.type ?? "long";
  const given = options.globals.get(variable.name);
  return {
    name: variable.name,
    type,
    keys: (variable.keys ?? []).map((key) => key ?? "long"),
    size: node?.size === undefined ? undefined : Number(node.size),
    wraps: node?.wraps ?? false,
    initial: given === undefined ? constant(node?.initial) : type === "string" ? given : toLong(given, variable, scope),
    statistic: scope.statistics.get(variable.name) ?? { variance: false, histogram: undefined },
  };
}

function toLong(text: string, variable: Variable, scope: Scope): bigint {
  if (!/^-?(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) {
    throw scope.sources.problem("semantic", `-G ${variable.name}=${text}: a number is wanted`, variable.position);
  }
  return BigInt.asIntN(64, text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text));
}

function constant(node: ast.Expression | undefined): bigint | string | undefined {
  if (node === undefined) return undefined;
  if (node.kind === "unary" && node.operand.kind === "number") return BigInt.asIntN(64, -node.operand.value);
  return node.kind === "number" || node.kind === "string" ? node.value : undefined;
}

/** Aliases give way to their points; their bodies stand before (`=`) or behind (`+=`) the probe's. */
function expandAliases(probe: ast.ProbeNode, aliases: readonly ast.AliasNode[]): { points: ast.PointNode[]; blocks: ast.Block[] } {
  const before: ast.Block[] = [];
  const behind: ast.Block[] = [];
  const expand = (point: ast.PointNode, depth: number): ast.PointNode[] => {
    const name = point.components.map((each) => each.name);
    const alias = aliases.find((each) => each.name.length <= name.length && each.name.every((part, index) => part === name[index]));
    if (alias === undefined || depth > 10) return [point];
    const rest = point.components.slice(alias.name.length);
    (alias.epilogue ? behind : before).push(alias.body);
    return alias.points.flatMap((each) => expand({ ...each, components: [...each.components, ...rest], position: point.position, optional: point.optional || each.optional }, depth + 1));
  };
  const points = probe.points.flatMap((point) => expand(point, 0));
  return { points, blocks: [...before, probe.body, ...behind] };
}

/** Does any of this code, or of the functions it calls, name a fault function? */
function mentions(code: unknown, functions: ReadonlyMap<string, FunctionSymbol>, seen: Set<string>): boolean {
  if (Array.isArray(code)) return code.some((each) => mentions(each, functions, seen));
  if (typeof code !== "object" || code === null) return false;
  if ("kind" in code && code.kind === "call" && "name" in code && typeof code.name === "string") {
    if (FAULT_FUNCTIONS.has(code.name)) return true;
    const callee = functions.get(code.name);
    if (callee !== undefined && !seen.has(code.name)) {
      seen.add(code.name);
      if (mentions(callee.node.body, functions, seen)) return true;
    }
  }
  return Object.values(code).some((each) => mentions(each, functions, seen));
}
