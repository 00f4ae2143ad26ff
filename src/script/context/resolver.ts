import type { Location } from "../../arch/x86_64/arguments.js";
import { RETURN_VALUE_REGISTER } from "../../arch/x86_64/arguments.js";
import { nearest } from "../../base/closest.js";
import type { MemoryKind } from "../../ir/ir.js";
import { resolved, type Type, type TypeNames } from "../../symbols/types/type.js";
import { assertNever } from "../../base/assert-never.js";
import type * as ast from "../ast.js";
import type { Position } from "../position.js";
import type { ModuleTypes, ProbedCode, ProbedCodes, StaticVariable } from "../probed-code.js";
import { firstOfEachName, localPlace } from "./local-place.js";
import { load, plus } from "./nodes.js";
import { parameterPlaces } from "./parameters.js";
import { namedType } from "./named-type.js";
import { type Place, PlaceWalk } from "./place.js";
import { sizeOf } from "./sizes.js";
import { typeText } from "./type-text.js";
import { Unresolved } from "./unresolved.js";

/** Where the handler runs, as far as that is known without types. */
export type Moment = "entry" | "return" | "inside" | "function" | "event";

/** What a context variable turned out to be, for `-p2`. */
export interface ContextUse {
  readonly node: ast.ContextNode;
  readonly type: string;
}

const MOST_ALTERNATIVES = 5;

/** Says what context variables are in one code, in the words of the language below them. */
export class ContextResolver {
  readonly uses: ContextUse[] = [];

  /**
   * @param code undefined where nothing is known of it
   * @param moment "function" in a function of the script, which belongs to no code; "event" where no
   * function of the target is concerned
   */
  constructor(
    private readonly code: ProbedCode | undefined,
    private readonly codes: ProbedCodes | undefined,
    readonly moment: Moment,
    /** What means nothing is taken for a number or a text: the script is described and does not run. */
    readonly lenient = false,
  ) {}

  /** The same code, at the entry of the function that returns. */
  atEntry(): ContextResolver {
    const { code } = this;
    return new ContextResolver(
      code === undefined ? undefined : entryOf(code),
      this.codes,
      "entry",
      this.lenient,
    );
  }

  /** Variables of the function itself are, at its return, those of its entry: where they are now nobody knows. */
  isSaved({ base }: ast.ContextNode): boolean {
    return (
      this.moment === "return" && (base.kind === "variable" || base.kind === "list") && base.name !== "return"
    );
  }

  /**
   * @param node what is in it is resolved already
   * @param written the same as it was before
   * @throws Unresolved
   */
  expression(node: ast.ContextNode, written: ast.ContextNode): ast.Expression {
    const { base } = node;
    if (base.kind === "list") return this.list(node, base.name);
    const { walk, first } = this.begin(node, base);
    for (const step of node.steps.slice(first)) walk.step(step);
    this.uses.push({ node: written, type: node.address ? `${typeText(walk.type)}*` : typeText(walk.type) });
    if (node.shown > 0) return walk.show(node.shown === 2);
    return walk.fetch(node.address, node.steps.at(-1)?.position ?? node.position);
  }

  /** @returns also how many steps were made already */
  private begin(
    node: ast.ContextNode,
    base: Exclude<ast.ContextBase, { kind: "list" }>,
  ): { readonly walk: PlaceWalk; readonly first: 0 | 1 } {
    const { position } = node;
    const walk = (place: Place, type: Type, of: { types: TypeNames; memory: MemoryKind }): PlaceWalk =>
      new PlaceWalk(place, type, of.types, of.memory, position);
    switch (base.kind) {
      case "variable": {
        const { place, type, code } = this.variable(base.name, position);
        return { walk: walk(place, type, code), first: 0 };
      }
      case "static": {
        const { variable, module } = this.static(base, position);
        refuseUntyped(variable, base.name, node);
        return { walk: walk(placeOf(variable, position), variable.type, module), first: 0 };
      }
      case "cast": {
        const { type, module } = this.castType(base, position);
        const at = walk({ in: "memory", address: base.operand }, type, module);
        const [step] = node.steps;
        const first = step?.kind === "index" && at.indexOfMany(step.index, step.position) ? 1 : 0;
        return { walk: at, first };
      }
      default:
        return assertNever(base);
    }
  }

  private variable(
    name: string,
    position: Position,
  ): { readonly place: Place; readonly type: Type; readonly code: ProbedCode } {
    const { code, moment } = this;
    if (code === undefined) throw new Unresolved(this.whyUnknown(), position);
    if (name === "return" && moment === "return") return { ...returned(code, position), code };
    const local = code.locals?.all.find((each) => each.name === name);
    // Of the whole of a scope something may be said that does not hold yet where the function is entered.
    if (code.locals !== undefined && local !== undefined && (moment === "inside" || local.isExact))
      return { place: localPlace(local, code.locals, code, position), type: local.type, code };
    const index = code.prototype?.parameters.findIndex((each) => each.name === name) ?? -1;
    const parameter = code.prototype?.parameters[index];
    if (code.prototype !== undefined && parameter !== undefined)
      return { place: this.parameter(code, index, position), type: parameter.type, code };
    const variable = code.variable(name);
    if (variable !== undefined && variable.type.kind !== "void")
      return { place: placeOf(variable, position), type: variable.type, code };
    if (code.prototype === undefined)
      throw new Unresolved(
        `unable to find local '${name}' in ${code.name}: its types are not known (no type information has its prototype)`,
        position,
      );
    const names = variableNames(code);
    if (moment === "return") names.push("return");
    const alternatives = nearest(name, names, MOST_ALTERNATIVES).map((each) => `$${each}`);
    const hint = alternatives.length === 0 ? "<no alternatives>" : `alternatives: ${alternatives.join(", ")}`;
    throw new Unresolved(`unable to find local '${name}' in ${code.name} (${hint})`, position);
  }

  private whyUnknown(): string {
    switch (this.moment) {
      case "function":
        return "unresolved target-symbol expression: a function belongs to no probed code; give it the value as an argument";
      case "event":
        return "unresolved target-symbol expression: no code of the target is concerned here";
      case "entry":
      case "return":
      case "inside":
        return "unresolved target-symbol expression: no type information of this code is known";
    }
  }

  private parameter(code: ProbedCode, index: number, position: Position): Place {
    const { prototype } = code;
    const name = prototype?.parameters[index]?.name ?? "";
    if (this.moment === "inside")
      throw new Unresolved(
        `'$${name}' of ${code.name} is known where the function is entered and where it returns; in between, only debug information (DWARF) tells where it is, and there is none of this code`,
        position,
      );
    const place = prototype === undefined ? undefined : parameterPlaces(prototype, code.types)[index];
    switch (place?.kind) {
      case "word":
        return placeOfWord(place.location, code.memory, position);
      case "stack":
        return { in: "memory", address: plus(register("rsp", position), BigInt(place.offset), position) };
      case "unsupported":
      case undefined:
        throw new Unresolved(
          `'$${name}' of ${code.name} cannot be read: ${place?.why ?? "it is unknown"}`,
          position,
        );
    }
  }

  private static(
    base: Extract<ast.ContextBase, { kind: "static" }>,
    position: Position,
  ): { readonly variable: StaticVariable; readonly module: ModuleTypes } {
    for (const module of this.modules(base.module, position)) {
      const variable = module.variable(base.name);
      if (variable !== undefined) return { variable, module };
    }
    const where = base.module === undefined ? "" : ` in '${base.module}'`;
    throw new Unresolved(`unable to find global '${base.name}'${where}`, position);
  }

  private castType(
    base: Extract<ast.ContextBase, { kind: "cast" }>,
    position: Position,
  ): { readonly type: Type; readonly module: ModuleTypes } {
    for (const module of this.modules(base.module, position)) {
      const type = namedType(base.type, module.types);
      if (type !== undefined) return { type, module };
    }
    const where = base.module === undefined ? "" : ` in '${base.module}'`;
    throw new Unresolved(`type definition '${base.type}' not found${where}`, position);
  }

  /** Whom `"kernel<linux/sched.h>:module"` means, in turn: definitions are theirs, not a header's. */
  private modules(names: string | undefined, position: Position): readonly ModuleTypes[] {
    const { code, codes } = this;
    if (names === undefined && code !== undefined) return [code];
    const asked = names?.split(":").map((name) => name.replace(/<.*>$/, "")) ?? [undefined];
    const found = asked.flatMap((name) => codes?.typesOf(name) ?? []);
    if (found.length > 0) return found;
    const whose = names === undefined ? "" : ` of '${names}'`;
    throw new Unresolved(`no type information${whose} is known`, position);
  }

  /** `$$parms` and its like: `name=value` of each, as SystemTap words it. */
  private list(node: ast.ContextNode, name: ast.ContextList): ast.Expression {
    const { position, shown } = node;
    const directive = shown > 0 ? "=%s" : "=%#x";
    let format = "";
    const values: ast.Expression[] = [];
    const add = (variable: string, type: Type): void => {
      const label = variable === "return" ? variable : `${format === "" ? "" : " "}${variable}`;
      const plain = resolved(type);
      if (shown === 0 && (plain.kind === "struct" || plain.kind === "union")) {
        format += `${label}={...}`;
        return;
      }
      const value = this.tried({
        kind: "context",
        position,
        base: { kind: "variable", name: variable },
        steps: [],
        address: false,
        shown,
      });
      format += label + (value === undefined ? "=?" : directive);
      if (value !== undefined) values.push(value);
    };
    const prototype = this.code?.prototype;
    if (name === "return") {
      if (this.moment !== "return")
        throw new Unresolved("$$return is for probes on the return of functions", position);
      if (prototype !== undefined && resolved(prototype.returns).kind !== "void")
        add("return", prototype.returns);
    } else {
      for (const each of this.listed(name)) add(each.name, each.type);
    }
    this.uses.push({ node, type: "string" });
    if (values.length === 0) return { kind: "string", position, value: format };
    return {
      kind: "call",
      position,
      name: "sprintf",
      arguments: [{ kind: "string", position, value: format }, ...values],
    };
  }

  /** What `$$parms`, `$$locals` and `$$vars` are about: parameters first. */
  private listed(name: ast.ContextList): readonly { readonly name: string; readonly type: Type }[] {
    const { code, moment } = this;
    const parameters = code?.prototype?.parameters.filter((each) => each.name !== "") ?? [];
    // Before a function has begun, its variables hold nothing.
    const locals =
      moment === "inside" && name !== "parms"
        ? firstOfEachName(code?.locals?.all ?? []).filter(
            (local) => !parameters.some((each) => each.name === local.name),
          )
        : [];
    return name === "locals" ? locals : [...parameters, ...locals];
  }

  private tried(node: ast.ContextNode): ast.Expression | undefined {
    const before = this.uses.length;
    try {
      return this.expression(node, node);
    } catch (error) {
      if (error instanceof Unresolved) return undefined;
      throw error;
    } finally {
      this.uses.length = before;
    }
  }
}

/** BTF has the types of per-CPU variables only; of the others a symbol tells where they are. */
function refuseUntyped({ type }: StaticVariable, name: string, node: ast.ContextNode): void {
  if (type.kind !== "void" || (node.address && node.steps.length === 0)) return;
  throw new Unresolved(
    `no type information tells what '${name}' is: @cast(&@var("${name}"), "TYPE") reads it as a TYPE`,
    node.position,
  );
}

/** What `$` can stand in front of: parameters first. */
function variableNames(code: ProbedCode): string[] {
  const parameters = code.prototype?.parameters.map((each) => each.name) ?? [];
  const locals = code.at === "inside" ? (code.locals?.all.map((each) => each.name) ?? []) : [];
  return [...new Set([...parameters, ...locals])].filter((name) => name !== "");
}

function entryOf(code: ProbedCode): ProbedCode {
  return {
    key: code.key,
    name: code.name,
    prototype: code.prototype,
    types: code.types,
    at: "entry",
    locals: code.locals,
    memory: code.memory,
    variable: (name) => code.variable(name),
  };
}

function returned(code: ProbedCode, position: Position): { readonly place: Place; readonly type: Type } {
  const { prototype } = code;
  if (prototype === undefined)
    throw new Unresolved(
      `'$return' of ${code.name} cannot be read: no type information has its prototype`,
      position,
    );
  const type = prototype.returns;
  const plain = resolved(type);
  if (plain.kind === "void") throw new Unresolved(`function ${code.name} has no return value`, position);
  const problem = (why: string): Unresolved =>
    new Unresolved(`'$return' of ${code.name} cannot be read: ${why}`, position);
  if (plain.kind === "float") throw problem("it is returned in a floating-point register");
  if ((sizeOf(type, code.types) ?? 16) > 8) throw problem("it is larger than a register");
  return { place: { in: "word", word: register(RETURN_VALUE_REGISTER, position), offset: 0 }, type };
}

function placeOfWord(location: Location, memory: MemoryKind, position: Position): Place {
  if (location.kind === "register")
    return { in: "word", word: register(location.register, position), offset: 0 };
  const address = plus(register("rsp", position), BigInt(location.offset), position);
  return { in: "word", word: load(address, 8, false, memory, position), offset: 0 };
}

function placeOf(variable: StaticVariable, position: Position): Place {
  const { image, address, perCpu } = variable;
  return { in: "memory", address: { kind: "static-address", position, image, address, perCpu } };
}

function register(
  name: Extract<ast.Expression, { kind: "register" }>["register"],
  position: Position,
): ast.Expression {
  return { kind: "register", position, register: name };
}
