import type { AssociativeArray, Element, Key } from "./arrays.js";
import type { ByteString } from "./byte-string.js";
import type { Long } from "./integers.js";
import { Statistic, type StatisticOperator } from "./statistics.js";

/** What `+` or `-` in the head of a `foreach` names. */
export interface SortOrder {
  readonly by:
    | { readonly kind: "key"; readonly index: number }
    /** Of an array of longs or strings. */
    | { readonly kind: "value" }
    /** Of an array of statistics; without one written, SystemTap takes the count. */
    | { readonly kind: "statistic"; readonly operator: Exclude<StatisticOperator, "variance"> };
  readonly direction: "ascending" | "descending";
}

export interface Iteration {
  /** Absent: order of insertion. */
  readonly order?: SortOrder;
  /** `limit n`: at most so many; none where it is 0 or negative. */
  readonly limit?: Long;
  /** `a[*, 3]`: only elements with these keys, undefined standing for `*`. */
  readonly slice?: readonly (Key | undefined)[];
}

/**
 * The elements that a `foreach` visits: a snapshot, so that the loop may delete. Equal ones stay in
 * order of insertion. Strings compare by byte, as strcmp does.
 */
export function snapshot<V>(array: AssociativeArray<V>, iteration: Iteration = {}): Element<V>[] {
  const { order, limit, slice } = iteration;
  let elements = [...array.elements()];
  if (slice !== undefined) elements = elements.filter((element) => matches(element.keys, slice));
  if (order !== undefined) {
    const sign = order.direction === "ascending" ? 1 : -1;
    elements.sort((a, b) => sign * compare(column(a, order), column(b, order)));
  }
  if (limit === undefined || limit >= BigInt(elements.length)) return elements;
  return limit <= 0n ? [] : elements.slice(0, Number(limit));
}

/** `[*, 3] in a`. */
export function hasSlice<V>(array: AssociativeArray<V>, slice: readonly (Key | undefined)[]): boolean {
  for (const element of array.elements()) if (matches(element.keys, slice)) return true;
  return false;
}

/** `delete a[*, 3]`. */
export function deleteSlice<V>(array: AssociativeArray<V>, slice: readonly (Key | undefined)[]): void {
  for (const element of snapshot(array, { slice })) array.delete(...element.keys);
}

function matches(keys: readonly Key[], slice: readonly (Key | undefined)[]): boolean {
  return slice.every((wanted, index) => wanted === undefined || wanted === keys[index]);
}

function column<V>(element: Element<V>, order: SortOrder): Long | ByteString {
  switch (order.by.kind) {
    case "key":
      return element.keys[order.by.index] as Key;
    case "value":
      // A bug in generated code where the array is one of statistics; NaN-like comparisons would hide it.
      if (typeof element.value === "bigint" || typeof element.value === "string") return element.value;
      throw new TypeError("statistics have no order of their own");
    case "statistic":
      if (element.value instanceof Statistic) return element.value[order.by.operator];
      throw new TypeError("only statistics have @-operators");
  }
}

function compare(a: Long | ByteString, b: Long | ByteString): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
