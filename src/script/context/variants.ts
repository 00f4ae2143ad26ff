import type * as ast from "../ast.js";
import type { PlainProbe } from "../aliases.js";
import type { Sources } from "../errors.js";
import type { ProbedCode, ProbedCodes } from "../probed-code.js";
import { refuseDeepNesting } from "../nesting.js";
import { resolveBody, usesContext } from "./resolve-body.js";
import { ContextResolver, type ContextUse, type Moment } from "./resolver.js";
import { Unresolved } from "./unresolved.js";

/** A probe's body as it is for some of the codes that its points match. */
export interface Variant extends PlainProbe {
  /** See CompiledProbe.codes. */
  readonly codes: ReadonlyMap<ast.PointNode, readonly ProbedCode[] | undefined> | undefined;
  readonly uses: readonly ContextUse[];
}

/** A variant while codes are added to it. */
interface Grown {
  readonly blocks: readonly ast.Block[];
  readonly codes: Map<ast.PointNode, ProbedCode[] | undefined>;
  readonly uses: readonly ContextUse[];
}

/**
 * The bodies of a probe: one where nothing in it depends on the code, else one for all codes in which its
 * context variables come to the same. So a thousand functions with the same parameters share a handler.
 *
 * @param lenient see ContextResolver
 * @throws ScriptProblem a context variable that means nothing in one of them
 */
export function variantsOf(
  probe: PlainProbe,
  codes: ProbedCodes | undefined,
  sources: Sources,
  lenient = false,
): readonly Variant[] {
  if (!usesContext(probe.blocks)) return [{ ...probe, codes: undefined, uses: [] }];
  const variants = new Map<string, Grown>();
  for (const point of probe.points) {
    for (const code of codes?.codesOf(point) ?? [undefined]) {
      const resolver = new ContextResolver(code, codes, code?.at ?? momentOf(point), lenient);
      const blocks = resolved(probe.blocks, resolver, sources);
      const key = textOf(blocks);
      let variant = variants.get(key);
      if (variant === undefined) {
        // A variable comes to several reads in one another.
        refuseDeepNesting(blocks, sources);
        variant = { blocks, codes: new Map(), uses: resolver.uses };
        variants.set(key, variant);
      }
      const known = variant.codes.get(point);
      if (code === undefined) variant.codes.set(point, undefined);
      else if (known === undefined) variant.codes.set(point, [code]);
      else known.push(code);
    }
  }
  const { node } = probe;
  return [...variants.values()].map((each) => ({ ...each, node, points: [...each.codes.keys()] }));
}

/**
 * A function of the script, which belongs to no code: only `@cast` and `@var` mean something in it.
 *
 * @throws ScriptProblem
 */
export function resolvedFunction(
  node: ast.FunctionNode,
  codes: ProbedCodes | undefined,
  sources: Sources,
  lenient = false,
): ast.FunctionNode {
  if (!usesContext(node.body)) return node;
  const [body = node.body] = resolved(
    [node.body],
    new ContextResolver(undefined, codes, "function", lenient),
    sources,
  );
  refuseDeepNesting([body], sources);
  return { ...node, body };
}

function resolved(
  blocks: readonly ast.Block[],
  resolver: ContextResolver,
  sources: Sources,
): readonly ast.Block[] {
  try {
    return blocks.map((block) => resolveBody(block, resolver));
  } catch (error) {
    if (error instanceof Unresolved) throw sources.problem("semantic", error.problem, error.position);
    throw error;
  }
}

/** Where a handler runs of which no code tells. */
function momentOf({ components }: ast.PointNode): Moment {
  if (components.some(({ name }) => name === "return")) return "return";
  return components.some(({ name }) => name === "function" || name === "statement") ? "entry" : "event";
}

function textOf(blocks: readonly ast.Block[]): string {
  return JSON.stringify(blocks, (_key, value: unknown) =>
    typeof value === "bigint" ? `${value.toString()}n` : value,
  );
}
