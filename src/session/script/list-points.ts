import type { AliasNode, PointNode } from "../../script/ast.js";
import { compile, type CompileOptions, parseScript } from "../../script/compile.js";
import { compileGlob } from "../../symbols/glob.js";
import type { KnownPoints } from "./known-points.js";
import { codesOf, type Subject } from "./subject.js";
import { pointText, resolvePoint } from "./point-text.js";

/** A point as `-l` prints it; with `-L` its variables follow. */
interface Listed {
  readonly text: string;
  /** `name:string`, for whoever probes it; undefined of an alias, whose compiled body tells. */
  readonly variables: readonly string[] | undefined;
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
  subject: Pick<Subject, "codes">,
  files: KnownPoints,
  withVariables: boolean,
): readonly string[] {
  const asked = { ...options, text: `probe ${pattern} {}`, name: "<input>" };
  const { script, library, sources } = parseScript(asked);
  const found = script.probes
    .flatMap((probe) => probe.points)
    .flatMap((node): Listed[] => {
      const aliases = library.aliases.filter((alias) => names(node, alias));
      if (aliases.length > 0)
        return aliases.map((alias) => ({ text: aliasText(alias, node), variables: undefined }));
      const matches = files.matchesOf(resolvePoint(node, sources), pointText(node));
      return matches.map(({ text, variables }) => ({ text, variables: variables ?? [] }));
    });
  if (!withVariables) return found.map(({ text }) => text);
  const ofAliases = variablesOf(
    found.flatMap(({ text, variables }) => (variables === undefined ? [text] : [])),
    { ...options, ...codesOf(subject, sources) },
  );
  return found.map(({ text, variables = ofAliases.get(text) ?? [] }) => [text, ...variables].join(" "));
}

/** Those with a wildcard of their own have no list of what they stand for. */
function names({ components }: PointNode, { name }: AliasNode): boolean {
  return (
    name.length <= components.length &&
    name.every((part, index) => part !== "*" && compileGlob(components[index]?.name ?? "").matches(part))
  );
}

function aliasText(alias: AliasNode, node: PointNode): string {
  const suffix = pointText({ ...node, components: node.components.slice(alias.name.length) });
  return `${alias.name.join(".")}${suffix === "" ? "" : `.${suffix}`}`;
}

/** `name:string`: what each alias sets, for whoever probes it. All in one go: the library is large. */
function variablesOf(
  aliases: readonly string[],
  options: CompileOptions,
): ReadonlyMap<string, readonly string[]> {
  if (aliases.length === 0) return new Map();
  const text = aliases.map((each) => `probe ${each} {}`).join("\n");
  const { program, probes } = compile({ ...options, text, name: "<input>", keepsUnused: true });
  const variables = new Map<string, Set<string>>();
  probes.forEach(({ node }, index) => {
    const own = variables.get(aliases[node.position.line - 1] ?? "") ?? new Set();
    for (const { name, type } of program.handlers[index]?.locals ?? []) own.add(`${name}:${type}`);
    variables.set(aliases[node.position.line - 1] ?? "", own);
  });
  return new Map([...variables].map(([alias, own]) => [alias, [...own]]));
}
