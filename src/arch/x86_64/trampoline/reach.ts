import type { Address, AddressRange } from "../../../base/address.js";

/** Addresses at which something can begin. */
export interface Reach {
  /** The lowest of them that is not below `from`. */
  next(from: Address): Address | undefined;
  /** The highest of them that is not above `from`. */
  previous(from: Address): Address | undefined;
}

/** All addresses of a range. */
export function anywhereIn({ start, end }: AddressRange): Reach {
  return {
    next: (from) => (from < end ? (Math.max(from, start) as Address) : undefined),
    previous: (from) => (from >= start ? (Math.min(from, end - 1) as Address) : undefined),
  };
}

/** What is in both. The second is the denser one, or the search takes long. */
export function inBoth(one: Reach, range: AddressRange): Reach {
  const { start, end } = range;
  return {
    next: (from) => {
      const at = one.next(Math.max(from, start) as Address);
      return at !== undefined && at < end ? at : undefined;
    },
    previous: (from) => {
      const at = one.previous(Math.min(from, end - 1) as Address);
      return at !== undefined && at >= start ? at : undefined;
    },
  };
}
