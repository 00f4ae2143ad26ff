import { addressOf } from "../../base/address.js";
import type { PointNode } from "../../script/ast.js";
import type { Sources } from "../../script/errors.js";
import type {
  LocalVariables,
  ModuleTypes,
  ProbedCode,
  ProbedCodes,
  StaticVariable,
} from "../../script/probed-code.js";
import type { LocalVariable } from "../../symbols/types/location.js";
import type { FunctionType, TypeNames } from "../../symbols/types/type.js";
import { compileGlob } from "../../symbols/glob.js";
import { isReturn, isText, type TextPoint } from "../points/point.js";
import { resolvePoint } from "../script/point-text.js";
import type { Vaddr } from "../../symbols/vaddr.js";
import { codeKey, placeKey } from "./code-key.js";
import type { CodeSource } from "./code-source.js";
import type { KernelView } from "./view.js";

/** What the language is told of the code that points of a kernel match: prototypes and types, from BTF or DWARF. */
export class KernelCodes implements ProbedCodes {
  constructor(
    private readonly view: KernelView,
    private readonly sources: Sources,
  ) {}

  codesOf(node: PointNode): readonly ProbedCode[] | undefined {
    const point = resolvePoint(node, this.sources);
    if (!isText(point)) return undefined;
    const sources = sourcesOf(point, this.view);
    if (sources === undefined) return undefined;
    return sources.flatMap((source) => codesIn(point, source, this.view));
  }

  typesOf(module: string | undefined): ModuleTypes | undefined {
    if (module === undefined || module === "kernel") return new SourceTypes(this.view.kernel);
    const found = this.view.modules()?.find(({ name }) => name === module);
    return found === undefined ? undefined : new SourceTypes(found);
  }
}

/** The code that a point is about; undefined where only a running kernel tells. */
export function sourcesOf(point: TextPoint, view: KernelView): readonly CodeSource[] | undefined {
  if (point.program.kind !== "module") return [view.kernel];
  const glob = compileGlob(point.program.module);
  return view.modules()?.filter(({ name }) => glob.matches(name));
}

function codesIn(point: TextPoint, source: CodeSource, view: KernelView): readonly ProbedCode[] {
  if (point.kind === "statement") {
    const slide = view.slide();
    const address = addressOf(point.vaddr);
    if (slide === undefined || address === undefined) return [];
    const vaddr = (address - (source === view.kernel ? slide : 0)) as Vaddr;
    const symbol = source.code.symbolAt(vaddr);
    return symbol === undefined ? [] : [insideCode(source, symbol.name, symbol.start, vaddr)];
  }
  const functions = source.code.functions(point.functions);
  if (point.kind === "offset")
    return functions.map(({ name, vaddr }) =>
      insideCode(source, name, vaddr, (vaddr + point.offset) as Vaddr),
    );
  const at = isReturn(point) ? "return" : "entry";
  const named = functions.filter(({ exported }) => point.exported !== true || exported);
  // One handler is for all of one name: the first.
  const first = new Map(named.toReversed().map((found) => [found.name, found.vaddr]));
  return [...new Set(named.map(({ name }) => name))].map((name) =>
    functionCode(source, name, first.get(name), at),
  );
}

function insideCode(source: CodeSource, name: string, start: Vaddr, vaddr: Vaddr): KernelProbedCode {
  const all = source.code.variablesAt(vaddr);
  const { code } = source;
  return new KernelProbedCode(source, {
    key: placeKey(source.name, vaddr),
    name,
    near: vaddr,
    at: "inside",
    prototype: code.prototype(name, start),
    locals: all && { image: source.name, all },
  });
}

/** Where parameters are at its entry is said by the calling convention; of what types leave out, by debug information. */
function functionCode(
  source: CodeSource,
  name: string,
  vaddr: Vaddr | undefined,
  at: "entry" | "return",
): KernelProbedCode {
  const { code } = source;
  const isToldByTypes = vaddr === undefined || code.isInBtf(name);
  const all = isToldByTypes ? undefined : code.variablesAt(vaddr)?.map((local) => atEntry(local, name));
  return new KernelProbedCode(source, {
    key: codeKey(source.name, name),
    name,
    near: vaddr,
    at,
    prototype: code.prototype(name, vaddr),
    locals: all && { image: source.name, all },
  });
}

/** A copy that the compiler made (`f.isra.0`) keeps to no calling convention: where it says nothing exact, nothing is known. */
function atEntry(local: LocalVariable, name: string): LocalVariable {
  if (local.isExact || !name.includes(".")) return local;
  const why = "the compiler has made a copy of the function with parameters of its own";
  return { ...local, isExact: true, location: { kind: "absent", why } };
}

/** Types and variables of the kernel or a module. */
class SourceTypes implements ModuleTypes {
  readonly memory = "kernel";
  readonly types: TypeNames;

  /** @param near the code that asks */
  constructor(
    private readonly source: CodeSource,
    private readonly near?: Vaddr,
  ) {
    this.types = source.code.types ?? NO_TYPES;
  }

  variable(name: string): StaticVariable | undefined {
    const { code, name: image } = this.source;
    const found = code.variable(name, this.near);
    if (found !== undefined)
      return { image, address: BigInt(found.vaddr), type: found.type, perCpu: found.perCpu };
    // BTF has variables of each processor only; of the others a symbol tells where they are.
    const symbol = code.symbol(name);
    return symbol === undefined
      ? undefined
      : { image, address: BigInt(symbol), type: { kind: "void" }, perCpu: false };
  }
}

type CodeFacts = Pick<ProbedCode, "key" | "name" | "at" | "prototype" | "locals">;

class KernelProbedCode extends SourceTypes implements ProbedCode {
  readonly key: string;
  readonly name: string;
  readonly at: ProbedCode["at"];
  readonly prototype: FunctionType | undefined;
  readonly locals: LocalVariables | undefined;

  constructor(source: CodeSource, facts: CodeFacts & { readonly near: Vaddr | undefined }) {
    super(source, facts.near);
    this.key = facts.key;
    this.name = facts.name;
    this.at = facts.at;
    this.prototype = facts.prototype;
    this.locals = facts.locals;
  }
}

const NO_TYPES: TypeNames = { named: () => undefined };
