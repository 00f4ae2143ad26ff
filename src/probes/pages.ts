import type { Address } from "../base/address.js";
import type { Location } from "./location.js";

export const PAGE = 4096;

/** Locations by the page that their first byte lies in: memory is read a page at a time. */
export function byPage(locations: Iterable<Location>): Map<Address, Location[]> {
  const pages = new Map<Address, Location[]>();
  for (const location of locations) {
    const page = (Math.floor(location.address / PAGE) * PAGE) as Address;
    const list = pages.get(page);
    if (list === undefined) pages.set(page, [location]);
    else list.push(location);
  }
  return pages;
}
