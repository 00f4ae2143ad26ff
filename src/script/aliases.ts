import { compileGlob } from "../symbols/glob.js";
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

/** Where aliases come from. */
export interface Aliases {
  readonly script: readonly ast.AliasNode[];
  readonly library: readonly ast.AliasNode[];
}

interface Expanded {
  readonly point: ast.PointNode;
  readonly blocks: readonly ast.Block[];
}

/**
 * Aliases give way to their points; their bodies stand before (`=`) or behind (`+=`) the probe's. A
 * probe of several points whose aliases bring different bodies becomes several.
 *
 * `syscall.*` stands for all aliases that it matches, each point once; a `*` in an alias's own name
 * (`probe nd_syscall.* = syscall.* {}`) takes any word, which then stands in its points. An alias of the
 * script's hides those of the library that have its name.
 *
 * @throws ScriptProblem an alias that stands for itself
 */
export function expandAliases(probe: ast.ProbeNode, aliases: Aliases, sources: Sources): PlainProbe[] {
  const plain: { node: ast.ProbeNode; points: ast.PointNode[]; blocks: readonly ast.Block[] }[] = [];
  for (const each of probe.points) {
    const expanded: Expanded[] = [];
    expand(each, [probe.body], aliases, sources, 0, expanded);
    for (const { point, blocks } of each.components.some(isWild) ? unlike(expanded) : expanded) {
      const same = plain.find((other) => areSame(other.blocks, blocks));
      if (same === undefined) plain.push({ node: probe, points: [point], blocks });
      else same.points.push(point);
    }
  }
  return plain;
}

/** Two names of one alias match a wildcard both, and are one point. */
function unlike(expanded: readonly Expanded[]): Expanded[] {
  const byText = new Map<string, Expanded[]>();
  return expanded.filter(({ point, blocks }) => {
    const text = point.components.map(({ name, argument }) => `${name} ${String(argument)}`).join("\n");
    const former = byText.get(text) ?? [];
    byText.set(text, [...former, { point, blocks }]);
    return !former.some((other) => areSame(other.blocks, blocks));
  });
}

function areSame(one: readonly ast.Block[], other: readonly ast.Block[]): boolean {
  return one.length === other.length && one.every((block, index) => block === other[index]);
}

function expand(
  point: ast.PointNode,
  blocks: readonly ast.Block[],
  aliases: Aliases,
  sources: Sources,
  depth: number,
  expanded: Expanded[],
): void {
  const found = aliasesOf(point, aliases);
  if (found.length === 0) {
    expanded.push({ point, blocks });
    return;
  }
  for (const { alias, words } of found) {
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
      const components = [...withWords(each.components, words), ...rest];
      const optional = point.optional || each.optional;
      const sufficient = point.sufficient || each.sufficient;
      expand(
        { components, position: point.position, optional, sufficient },
        alias.body.statements.length === 0 ? blocks : around,
        aliases,
        sources,
        depth + 1,
        expanded,
      );
    }
  }
}

interface Found {
  readonly alias: ast.AliasNode;
  /** What the wildcards of the alias's own name took. */
  readonly words: readonly string[];
}

function aliasesOf(point: ast.PointNode, { script, library }: Aliases): readonly Found[] {
  const own = standing(script, point);
  const others = standing(library, point).filter(
    ({ alias }) => !own.some((each) => isPrefix(alias.name, each.alias.name)),
  );
  const all = [...own, ...others];
  // `syscall.open.return` is more to the point than `syscall.open` with something behind it.
  return all.filter(
    ({ alias }) =>
      !all.some(
        (each) => each.alias.name.length > alias.name.length && isPrefix(alias.name, each.alias.name),
      ),
  );
}

function standing(aliases: readonly ast.AliasNode[], { components }: ast.PointNode): Found[] {
  const globs = components.map((each) => (isWild(each) ? compileGlob(each.name) : undefined));
  return aliases.flatMap((alias) => {
    if (alias.name.length > components.length) return [];
    const words: string[] = [];
    for (const [index, part] of alias.name.entries()) {
      const component = components[index];
      if (component === undefined || component.argument !== undefined) return [];
      if (part === "*") words.push(component.name);
      else if (part !== component.name && globs[index]?.matches(part) !== true) return [];
    }
    return [{ alias, words }];
  });
}

function withWords(
  components: readonly ast.ComponentNode[],
  words: readonly string[],
): readonly ast.ComponentNode[] {
  let next = 0;
  return components.map((each) => (each.name === "*" ? { ...each, name: words[next++] ?? each.name } : each));
}

function isPrefix(name: readonly string[], other: readonly string[]): boolean {
  return name.length <= other.length && name.every((part, index) => part === other[index]);
}

function isWild({ name }: ast.ComponentNode): boolean {
  return name.includes("*");
}
