import { addressOf } from "../../base/address.js";
import type { PointNode } from "../../script/ast.js";
import type { Sources } from "../../script/errors.js";
import type { ModuleTypes, ProbedCode, ProbedCodes, StaticVariable } from "../../script/probed-code.js";
import type { FunctionType, TypeNames } from "../../symbols/types/type.js";
import { compileGlob } from "../../symbols/glob.js";
import { isReturn, isText, type TextPoint } from "../points/point.js";
import { resolvePoint } from "../script/point-text.js";
import { codeKey } from "./code-key.js";
import type { CodeSource } from "./code-source.js";
import type { KernelView } from "./view.js";

/** What the language is told of the code that points of a kernel match: prototypes and types from BTF. */
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
    const symbol = source.code.symbolAt((address - (source === view.kernel ? slide : 0)) as never);
    return symbol === undefined ? [] : [new KernelProbedCode(source, symbol.name, "inside")];
  }
  const at = point.kind === "offset" ? "inside" : isReturn(point) ? "return" : "entry";
  const names = source.code
    .functions(point.functions)
    .filter(({ exported }) => point.kind !== "function" || point.exported !== true || exported)
    .map(({ name }) => name);
  return [...new Set(names)].map((name) => new KernelProbedCode(source, name, at));
}

/** Types and variables of the kernel or a module. */
class SourceTypes implements ModuleTypes {
  readonly memory = "kernel";
  readonly types: TypeNames;

  constructor(protected readonly source: CodeSource) {
    this.types = source.code.types ?? NO_TYPES;
  }

  variable(name: string): StaticVariable | undefined {
    const { code, name: image } = this.source;
    const found = code.variable(name);
    if (found !== undefined)
      return { image, address: BigInt(found.vaddr), type: found.type, perCpu: found.perCpu };
    // BTF has variables of each processor only; of the others a symbol tells where they are.
    const symbol = code.symbol(name);
    return symbol === undefined
      ? undefined
      : { image, address: BigInt(symbol), type: { kind: "void" }, perCpu: false };
  }
}

class KernelProbedCode extends SourceTypes implements ProbedCode {
  readonly key: string;
  readonly prototype: FunctionType | undefined;

  constructor(
    source: CodeSource,
    readonly name: string,
    readonly at: ProbedCode["at"],
  ) {
    super(source);
    this.key = codeKey(source.name, name);
    this.prototype = source.code.prototype(name);
  }
}

const NO_TYPES: TypeNames = { named: () => undefined };
