/** One component of a point as it was written: `function("main")`. */
export interface PointComponent {
  readonly name: string;
  readonly argument: string | bigint | undefined;
}

/** Why a point is none that we have. The caller adds where it stands. */
export class UnknownPoint extends Error {
  /** @param known what could stand in the place of the first wrong component */
  constructor(
    message: string,
    readonly known: readonly string[],
  ) {
    super(message);
  }
}

/** @throws UnknownPoint something else stands there */
export function returnOrEntry(components: readonly PointComponent[]): "entry" | "return" {
  const [last, ...more] = components;
  if (more.length > 0) throw unknown(more[0], []);
  if (last === undefined || last.name === "call") return "entry";
  if (last.name === "return") return "return";
  throw unknown(last, ["call", "return"]);
}

/** @throws UnknownPoint it has no name in quotes */
export function text(component: PointComponent): string {
  if (typeof component.argument === "string") return component.argument;
  throw new UnknownPoint(`${component.name} takes a name in quotes`, []);
}

/** What is wrong with a component, or that one is missing. */
export function unknown(component: PointComponent | undefined, known: readonly string[]): UnknownPoint {
  if (component === undefined) return new UnknownPoint("the probe point is not complete", known);
  return new UnknownPoint(`probe point mismatch: no component "${component.name}" here`, known);
}
