import { assertNever } from "../../base/assert-never.js";
import type { Formula, LocalVariable, Location } from "../../symbols/types/location.js";
import type * as ast from "../ast.js";
import type { Position } from "../position.js";
import type { LocalVariables, ProbedCode } from "../probed-code.js";
import { bits, load, number, plus } from "./nodes.js";
import type { PartOfPlace, PlainPlace } from "./pieces.js";
import type { Place } from "./place.js";
import { Unresolved } from "./unresolved.js";

const MOST_AVAILABLE = 8;

/**
 * Where a variable is at the probed place, in the words of the language below.
 *
 * @throws Unresolved it is nowhere there
 */
export function localPlace(
  local: LocalVariable,
  locals: LocalVariables,
  code: ProbedCode,
  position: Position,
): Place {
  const words = new FormulaWords(locals.image, code.memory, position);
  const { location } = local;
  switch (location.kind) {
    case "absent":
      throw new Unresolved(
        `'$${local.name}' of ${local.function} is not available there: ${location.why} (${available(locals)})`,
        position,
      );
    case "pieces":
      return {
        in: "pieces",
        offset: 0,
        parts: location.pieces.map((piece): PartOfPlace => ({
          bytes: piece.bytes,
          place: words.place(piece.location),
        })),
      };
    case "memory":
    case "value": {
      const place = words.place(location);
      if (typeof place === "string") throw new Unresolved(place, position);
      return place;
    }
    default:
      return assertNever(location);
  }
}

/** Of one name, that of the innermost scope is meant. */
export function firstOfEachName(locals: readonly LocalVariable[]): readonly LocalVariable[] {
  const first = new Map<string, LocalVariable>();
  for (const local of locals) if (!first.has(local.name)) first.set(local.name, local);
  return [...first.values()];
}

function available({ all }: LocalVariables): string {
  const names = firstOfEachName(all).flatMap(({ name, location }) =>
    location.kind === "absent" ? [] : [`$${name}`],
  );
  if (names.length === 0) return "no variable is available there";
  const more = names.length > MOST_AVAILABLE ? ", …" : "";
  return `available there: ${names.slice(0, MOST_AVAILABLE).join(", ")}${more}`;
}

/** Formulas as expressions. */
class FormulaWords {
  constructor(
    private readonly image: string,
    private readonly memory: ProbedCode["memory"],
    private readonly position: Position,
  ) {}

  /** @returns why it is nowhere */
  place(location: Exclude<Location, { kind: "pieces" }>): PlainPlace | string {
    switch (location.kind) {
      case "absent":
        return location.why;
      case "memory":
        return { in: "memory", address: this.expression(location.address) };
      case "value":
        return { in: "word", word: this.expression(location.value), offset: 0 };
      default:
        return assertNever(location);
    }
  }

  private expression(formula: Formula): ast.Expression {
    const { position } = this;
    switch (formula.kind) {
      case "constant":
        return number(formula.value, position);
      case "register":
        return { kind: "register", position, register: formula.register };
      case "image-address":
        return {
          kind: "static-address",
          position,
          image: this.image,
          address: BigInt(formula.vaddr),
          perCpu: false,
        };
      case "load":
        return load(this.expression(formula.address), formula.bytes, false, this.memory, position);
      case "bits":
        return bits(this.expression(formula.of), 0, formula.width, formula.signed, position);
      case "operation": {
        const left = this.expression(formula.left);
        if (formula.operator === "+" && formula.right.kind === "constant")
          return plus(left, formula.right.value, position);
        return {
          kind: "binary",
          position,
          operator: formula.operator,
          left,
          right: this.expression(formula.right),
        };
      }
      default:
        return assertNever(formula);
    }
  }
}
