import { assertNever } from "../base/assert-never.js";
import { type AnyArray, LongArray, StatisticArray, StringArray } from "./arrays.js";
import { type ByteString, truncated } from "./byte-string.js";
import type { Long } from "./integers.js";
import type { Limits } from "./limits.js";
import { PLAIN_STATISTIC, Statistic, type StatisticShape } from "./statistics.js";

/** A `global` of a script, as the compiler found its types to be. */
export type GlobalDeclaration = {
  readonly name: string;
} & (
  | { readonly kind: "long"; readonly initial?: Long }
  | { readonly kind: "string"; readonly initial?: ByteString }
  | { readonly kind: "statistic"; readonly shape?: StatisticShape }
  | {
      readonly kind: "array";
      readonly element: "long" | "string" | "statistic";
      readonly keyCount: number;
      readonly declaredSize?: number;
      readonly wraps?: boolean;
      /** Of statistics. */
      readonly shape?: StatisticShape;
    }
);

/**
 * Where a script's globals live. A global is known by its slot, its index in the list of
 * declarations. Generated code takes what it needs out once (`const longs = globals.longs`) and then
 * works on it: `longs[3] += 1n` wraps by itself and takes 3 ns.
 *
 * The interface is what lets another back end keep them elsewhere: `longs` may lie in memory shared
 * with a target.
 */
export interface Globals {
  readonly declarations: readonly GlobalDeclaration[];
  /** Values of the long scalars by slot; slots of other kinds hold 0. Write `+= 1n`, not `++` (integers.ts). */
  readonly longs: BigInt64Array;
  /** Values of the string scalars by slot; each fits MAXSTRINGLEN. */
  readonly strings: ByteString[];
  /** @throws TypeError the slot is of another kind: a bug in generated code */
  statistic(slot: number): Statistic;
  /** @throws TypeError the slot is of another kind: a bug in generated code */
  array(slot: number): AnyArray;
}

export function createGlobals(declarations: readonly GlobalDeclaration[], limits: Limits): Globals {
  const longs = new BigInt64Array(declarations.length);
  const strings: ByteString[] = declarations.map(() => "");
  const statistics = new Map<number, Statistic>();
  const arrays = new Map<number, AnyArray>();
  declarations.forEach((declaration, slot) => {
    switch (declaration.kind) {
      case "long":
        longs[slot] = declaration.initial ?? 0n;
        break;
      case "string":
        strings[slot] = truncated(declaration.initial ?? "", limits.MAXSTRINGLEN);
        break;
      case "statistic":
        statistics.set(slot, new Statistic(declaration.shape));
        break;
      case "array":
        arrays.set(slot, createArray(declaration, limits));
        break;
      default:
        assertNever(declaration);
    }
  });
  return {
    declarations,
    longs,
    strings,
    statistic: (slot) => ofKind(statistics.get(slot), slot, "statistic"),
    array: (slot) => ofKind(arrays.get(slot), slot, "array"),
  };
}

function createArray(declaration: Extract<GlobalDeclaration, { kind: "array" }>, limits: Limits): AnyArray {
  const shape = {
    name: declaration.name,
    keyCount: declaration.keyCount,
    declaredSize: declaration.declaredSize,
    wraps: declaration.wraps ?? false,
  };
  switch (declaration.element) {
    case "long":
      return new LongArray(shape, limits.MAXMAPENTRIES);
    case "string":
      return new StringArray(shape, limits.MAXMAPENTRIES);
    case "statistic":
      return new StatisticArray(shape, limits.MAXMAPENTRIES, declaration.shape ?? PLAIN_STATISTIC);
  }
}

function ofKind<T>(found: T | undefined, slot: number, kind: string): T {
  if (found === undefined) throw new TypeError(`global ${slot} is no ${kind}`);
  return found;
}
