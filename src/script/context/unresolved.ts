import type { Position } from "../position.js";

/** A context variable means nothing here: an error of pass 2, unless `@defined` asks just that. */
export class Unresolved extends Error {
  constructor(
    readonly problem: string,
    readonly position: Position,
  ) {
    super(problem);
  }
}
