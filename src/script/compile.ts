import { FAULT_FUNCTIONS } from "../ir/intrinsics.js";
import { UsageError } from "../base/errors.js";
import type * as ir from "../ir/ir.js";
import type { Limits } from "../runtime/limits.js";
import type * as ast from "./ast.js";
import { expandAliases } from "./aliases.js";
import type { ContextUse } from "./context/resolver.js";
import { resolvedFunction, variantsOf } from "./context/variants.js";
import { similarNames, Sources } from "./errors.js";
import { lex } from "./lex.js";
import type { Scope } from "./lower-variables.js";
import { EntryValues } from "./lower-resolved.js";
import { BodyLowering } from "./lower-statements.js";
import type { Macro } from "./macros.js";
import { parse } from "./parse.js";
import { preprocess } from "./preprocess.js";
import type { ProbedCode, ProbedCodes } from "./probed-code.js";
import { type FunctionSymbol, makeVariable, type Variable } from "./scope.js";
import { calledFunctions, withoutUnused } from "./unused.js";

export interface CompileOptions {
  readonly name: string;
  readonly text: string;
  readonly arguments: readonly string[];
  readonly limits: Limits;
  /** `-G NAME=VALUE`. */
  readonly globals: ReadonlyMap<string, string>;
  /** Scripts of the library: `tapset/*.stp`. */
  readonly library: readonly { readonly name: string; readonly text: string }[];
  /** Computes all that aliases give, whether the probe asks for it or not: who lists them does. */
  readonly keepsUnused?: boolean;
  /** Whom to ask for what context variables are; without, they are errors. */
  readonly codes?: ProbedCodes;
}

/** A probe as the session arms it: its handler is the one of the same index in the program. */
export interface CompiledProbe {
  readonly node: ast.ProbeNode;
  readonly points: readonly ast.PointNode[];
  readonly phases: readonly ast.PhaseWord[];
  /** The body, or a function that it calls, asks about the instruction fault: row S12. */
  readonly mentionsFault: boolean;
  /**
   * The codes that this handler is for, of each of {@link points}; undefined for a point of which nothing is
   * known: the handler is for all that it matches. The map itself is undefined where the body uses no
   * context variables. Several probes of one node have different handlers for different codes.
   */
  readonly codes: ReadonlyMap<ast.PointNode, readonly ProbedCode[] | undefined> | undefined;
  /** Its context variables and their types, as in the first of those codes. */
  readonly uses: readonly ContextUse[];
}

export interface Compiled {
  readonly script: ast.Script;
  readonly sources: Sources;
  readonly probes: readonly CompiledProbe[];
  readonly program: ir.Program;
  /** What is likely a slip of the script's author; a line each, without `WARNING: `. */
  readonly warnings: readonly string[];
}

/** What pass 1 made of a script and of its libraries. */
export interface Parsed {
  readonly script: ast.Script;
  readonly library: ast.Script;
  readonly sources: Sources;
}

/** Pass 1. @throws ScriptProblem */
export function parseScript(options: CompileOptions): Parsed {
  const sources = new Sources();
  const macros = new Map<string, Macro>();
  const parts = options.library.map(({ name, text }) =>
    parse(preprocess(lex(name, text, sources), [], sources, macros), sources),
  );
  const tokens = preprocess(lex(options.name, options.text, sources), options.arguments, sources, macros);
  const script = parse(tokens, sources);
  return { script, library: merge(parts), sources };
}

/** Pass 2, and pass 1 where that was not done before. @throws ScriptProblem */
export function compile(options: CompileOptions, parsed: Parsed = parseScript(options)): Compiled {
  const { script, library, sources } = parsed;
  if (script.probes.length === 0) {
    throw sources.problem("semantic", "no probes found", { file: options.name, line: 1, column: 1 });
  }
  const globals = globalVariables([...library.globals, ...script.globals], options.globals, sources);
  refuseUnknownGlobals(options, globals);
  const nodesByName = new Map([...library.functions, ...script.functions].map((node) => [node.name, node]));
  const bodies = script.probes
    .flatMap((probe) => expandAliases(probe, { script: script.aliases, library: library.aliases }, sources))
    .map((probe) =>
      options.keepsUnused === true ? probe : withoutUnused(probe, new Set(globals.keys()), nodesByName),
    )
    .flatMap((probe) => variantsOf(probe, options.codes, sources, options.keepsUnused));
  const called = calledFunctions([bodies.map(({ blocks }) => blocks), script.functions], nodesByName);
  const functions = functionSymbols(
    script,
    library.functions.filter(({ name }) => called.has(name)),
    options,
    sources,
  );
  const longestString = options.limits.MAXSTRINGLEN - 1;
  const scope: Scope & { final: boolean } = {
    sources,
    globals,
    functions,
    longestString,
    statistics: new Map(),
    changed: true,
    final: false,
  };
  const locals = bodies.map(() => new Map<string, Variable>());
  const symbols = [...functions.values()];
  const lowerAll = (order: readonly FunctionSymbol[]): ir.Program => ({
    globals: [],
    functions: order.map((symbol) => lowerFunction(scope, symbol)),
    handlers: bodies.map((body, index) => {
      const own = locals[index] ?? new Map<string, Variable>();
      const entry = new EntryValues();
      return {
        body: body.blocks.flatMap((block) => new BodyLowering(scope, own, undefined, entry).body(block)),
        locals: localsOf(own),
        entry: entry.expressions,
      };
    }),
  });
  // There and back: a chain of functions that give their types on, in either order, takes two rounds and not one each.
  const orders = [symbols, symbols.toReversed()] as const;
  for (let round = 0; scope.changed; round = 1 - round) {
    scope.changed = false;
    lowerAll(orders[round] ?? symbols);
  }
  scope.final = true;
  const program = lowerAll(symbols);
  const nodes = new Map([...library.globals, ...script.globals].map((node) => [node.name, node]));
  return {
    script,
    sources,
    program: {
      ...program,
      globals: [...globals.values()].map((variable) =>
        lowerGlobal(variable, nodes.get(variable.name), scope, options),
      ),
    },
    probes: bodies.map(({ node, points, blocks, codes, uses }) => ({
      node,
      points,
      phases: node.phases,
      mentionsFault: mentionsFault(blocks, functions),
      codes,
      uses,
    })),
    warnings: neverAssigned(script, globals, functions, locals, sources),
  };
}

function refuseUnknownGlobals(options: CompileOptions, globals: ReadonlyMap<string, Variable>): void {
  for (const name of options.globals.keys()) {
    const problem = `-G ${name}: the script has no such global${similarNames(name, globals.keys())}`;
    if (!globals.has(name)) throw new UsageError(problem);
  }
}

/** Each hint looks at all names: a script with so many slips is told of them without. */
const MOST_HINTS = 20;

/** Variables that are read and never written: most likely another was meant. Only of the script itself. */
function neverAssigned(
  script: ast.Script,
  globals: ReadonlyMap<string, Variable>,
  functions: ReadonlyMap<string, FunctionSymbol>,
  bodies: readonly ReadonlyMap<string, Variable>[],
  sources: Sources,
): string[] {
  const own = new Set(script.functions.map(({ name }) => name));
  const warnings: string[] = [];
  const look = (kind: string, variables: Iterable<Variable>, names: readonly string[]): void => {
    for (const variable of variables) {
      if (variable.assigned) continue;
      const others = warnings.length < MOST_HINTS ? names.filter((name) => name !== variable.name) : [];
      const hint = similarNames(variable.name, others);
      warnings.push(
        `never-assigned ${kind} variable '${variable.name}'${hint}: ${sources.near(variable.position)}`,
      );
    }
  };
  const all = [...globals.keys()];
  for (const symbol of functions.values())
    if (own.has(symbol.node.name)) look("local", symbol.locals.values(), [...symbol.locals.keys(), ...all]);
  for (const locals of bodies) look("local", locals.values(), [...locals.keys(), ...all]);
  look(
    "global",
    script.globals.flatMap((node) => globals.get(node.name) ?? []),
    all,
  );
  // Several handlers of one body have the same slips.
  return [...new Set(warnings)];
}

function merge(parts: readonly ast.Script[]): ast.Script {
  return {
    probes: parts.flatMap((part) => part.probes),
    aliases: parts.flatMap((part) => part.aliases),
    globals: parts.flatMap((part) => part.globals),
    functions: parts.flatMap((part) => part.functions),
  };
}

function functionSymbols(
  script: ast.Script,
  library: readonly ast.FunctionNode[],
  { codes, keepsUnused }: CompileOptions,
  sources: Sources,
): Map<string, FunctionSymbol> {
  const symbols = new Map<string, FunctionSymbol>();
  const add = (written: ast.FunctionNode): void => {
    const node = resolvedFunction(written, codes, sources, keepsUnused);
    const parameters = node.parameters.map((parameter) =>
      makeVariable(parameter.name, parameter.position, false, parameter.type),
    );
    for (const parameter of parameters) parameter.assigned = true;
    symbols.set(node.name, {
      node,
      parameters,
      locals: new Map(parameters.map((parameter) => [parameter.name, parameter])),
      returns: node.returns,
      returnsValue: node.returns !== undefined,
    });
  };
  library.forEach(add);
  const own = new Set<string>();
  for (const node of script.functions) {
    if (own.has(node.name)) throw sources.problem("semantic", "conflicting functions", node.position);
    own.add(node.name);
    add(node);
  }
  return symbols;
}

function globalVariables(
  nodes: readonly ast.GlobalNode[],
  given: ReadonlyMap<string, string>,
  sources: Sources,
): Map<string, Variable> {
  const globals = new Map<string, Variable>();
  for (const node of nodes) {
    if (globals.has(node.name)) throw sources.problem("semantic", "duplicate global name", node.position);
    const variable = makeVariable(node.name, node.position, true);
    variable.assigned = node.initial !== undefined || given.has(node.name);
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

function lowerGlobal(
  variable: Variable,
  node: ast.GlobalNode | undefined,
  scope: Scope,
  options: CompileOptions,
): ir.Global {
  const type = variable.type ?? "long";
  const given = options.globals.get(variable.name);
  return {
    name: variable.name,
    type,
    keys: (variable.keys ?? []).map((key) => key ?? "long"),
    size: node?.size === undefined ? undefined : Number(node.size),
    wraps: node?.wraps ?? false,
    initial: cut(
      given === undefined
        ? constant(node?.initial)
        : type === "string"
          ? Buffer.from(given).toString("latin1")
          : toLong(given, variable, scope),
      scope,
    ),
    statistic: scope.statistics.get(variable.name) ?? { variance: false, histogram: undefined },
  };
}

function toLong(text: string, variable: Variable, scope: Scope): bigint {
  if (!/^-?(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) {
    throw scope.sources.problem(
      "semantic",
      `-G ${variable.name}=${text}: a number is wanted`,
      variable.position,
    );
  }
  return BigInt.asIntN(64, text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text));
}

function cut(value: bigint | string | undefined, { longestString }: Scope): bigint | string | undefined {
  return typeof value === "string" ? value.slice(0, longestString) : value;
}

function constant(node: ast.Expression | undefined): bigint | string | undefined {
  if (node === undefined) return undefined;
  if (node.kind === "unary" && node.operand.kind === "number") return BigInt.asIntN(64, -node.operand.value);
  return node.kind === "number" || node.kind === "string" ? node.value : undefined;
}

/** Does any of this code, or of the functions it calls, name a fault function? */
function mentionsFault(code: unknown, functions: ReadonlyMap<string, FunctionSymbol>): boolean {
  const seen = new Set<string>();
  // No recursion: functions can call one another in a chain of any length.
  const left: unknown[] = [code];
  while (left.length > 0) {
    const part = left.pop();
    if (typeof part !== "object" || part === null) continue;
    if ("kind" in part && part.kind === "call" && "name" in part && typeof part.name === "string") {
      if (FAULT_FUNCTIONS.has(part.name)) return true;
      const callee = functions.get(part.name);
      if (callee !== undefined && !seen.has(part.name)) {
        seen.add(part.name);
        left.push(callee.node.body);
      }
    }
    for (const each of Object.values(part)) left.push(each);
  }
  return false;
}
