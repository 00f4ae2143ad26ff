import type { AliasNode, PointNode } from "../../script/ast.js";
import { compile, type CompileOptions, parseScript } from "../../script/compile.js";
import { compileGlob } from "../../symbols/glob.js";
import type { KnownPoints } from "./known-points.js";
import { pointText, resolvePoint } from "./point-text.js";

/** A point as `-l` prints it; with `-L` its variables follow. */
interface Listed {
  readonly text: string;
  /** `name:string`: those that its alias sets, for whoever probes it. */
  readonly variables: readonly string[];
}

/**
 * The points that a pattern matches, aliases of the library first: `-l`, and with variables `-L`. Points
 * that are no aliases have the variables that types tell of, a kernel's; what else is at hand is read by
 * functions.
 *
 * @param pattern one or more points, as a script has them
 * @throws ScriptProblem it is none
 */
export function listPoints(
  pattern: string,
  options: CompileOptions,
  files: KnownPoints,
  withVariables: boolean,
): readonly string[] {
  const asked = { ...options, text: `probe ${pattern} {}`, name: "<input>" };
  const { script, library, sources } = parseScript(asked);
  const listed = script.probes
    .flatMap((probe) => probe.points)
    .flatMap((node): Listed[] => {
      const aliases = library.aliases.filter((alias) => names(node, alias));
      if (aliases.length > 0) return aliases.map((alias) => listAlias(alias, node, options));
      const matches = files.matchesOf(resolvePoint(node, sources), pointText(node));
      return matches.map(({ text, variables = [] }) => ({ text, variables }));
    });
  return listed.map(({ text, variables }) => (withVariables ? [text, ...variables].join(" ") : text));
}

function names({ components }: PointNode, { name }: AliasNode): boolean {
  return (
    name.length <= components.length &&
    name.every((part, index) => compileGlob(components[index]?.name ?? "").matches(part))
  );
}

function listAlias(alias: AliasNode, node: PointNode, options: CompileOptions): Listed {
  const suffix = pointText({ ...node, components: node.components.slice(alias.name.length) });
  const text = `${alias.name.join(".")}${suffix === "" ? "" : `.${suffix}`}`;
  const { program } = compile({ ...options, text: `probe ${text} {}`, name: "<input>" });
  const variables = program.handlers.flatMap(({ locals }) =>
    locals.map((each) => `${each.name}:${each.type}`),
  );
  return { text, variables: [...new Set(variables)] };
}
