import type * as ast from "./ast.js";
import type { Sources } from "./errors.js";

/** How deep aliases may stand for aliases. */
const MOST_NESTED = 32;
/** How many points the points of one probe may come to: aliases of two aliases each double them every time. */
const MOST_POINTS = 10_000;

/** A probe with all aliases gone: its points, and the bodies that its handler runs one after the other. */
export interface PlainProbe {
  readonly node: ast.ProbeNode;
  readonly points: readonly ast.PointNode[];
  readonly blocks: readonly ast.Block[];
}

interface Expanded {
  readonly point: ast.PointNode;
  readonly blocks: readonly ast.Block[];
}

/**
 * Aliases give way to their points; their bodies stand before (`=`) or behind (`+=`) the probe's. A
 * probe of several points whose aliases bring different bodies becomes several.
 *
 * @throws ScriptProblem an alias that stands for itself
 */
export function expandAliases(
  probe: ast.ProbeNode,
  aliases: readonly ast.AliasNode[],
  sources: Sources,
): PlainProbe[] {
  const plain: { node: ast.ProbeNode; points: ast.PointNode[]; blocks: readonly ast.Block[] }[] = [];
  const expanded: Expanded[] = [];
  for (const each of probe.points) expand(each, [probe.body], aliases, sources, 0, expanded);
  for (const { point, blocks } of expanded) {
    const same = plain.find(
      (each) =>
        each.blocks.length === blocks.length && each.blocks.every((block, index) => block === blocks[index]),
    );
    if (same === undefined) plain.push({ node: probe, points: [point], blocks });
    else same.points.push(point);
  }
  return plain;
}

function expand(
  point: ast.PointNode,
  blocks: readonly ast.Block[],
  aliases: readonly ast.AliasNode[],
  sources: Sources,
  depth: number,
  expanded: Expanded[],
): void {
  const alias = aliases.find((each) => stands(each, point));
  if (alias === undefined) {
    expanded.push({ point, blocks });
    return;
  }
  if (expanded.length >= MOST_POINTS) {
    const problem = `alias expansion of ${alias.name.join(".")} gives more than ${String(MOST_POINTS)} points`;
    throw sources.problem("semantic", problem, point.position);
  }
  if (depth === MOST_NESTED)
    throw sources.problem(
      "semantic",
      `recursive loop in alias expansion of ${alias.name.join(".")}`,
      alias.position,
    );
  const rest = point.components.slice(alias.name.length);
  const around = alias.epilogue ? [...blocks, alias.body] : [alias.body, ...blocks];
  for (const each of alias.points) {
    const components = [...each.components, ...rest];
    const optional = point.optional || each.optional;
    const sufficient = point.sufficient || each.sufficient;
    expand(
      { components, position: point.position, optional, sufficient },
      around,
      aliases,
      sources,
      depth + 1,
      expanded,
    );
  }
}

function stands({ name }: ast.AliasNode, { components }: ast.PointNode): boolean {
  return name.length <= components.length && name.every((part, index) => part === components[index]?.name);
}
