import { formatAddress } from "../base/address.js";
import { BREAKPOINT, type Location } from "./location.js";
import { PAGE, byPage } from "./pages.js";
import type { Probe } from "./probe.js";
import type { ProbedSpace } from "./space.js";

/** The armed locations whose text somebody else has written since: the breakpoint is not there any more. */
export function changedLocations(space: ProbedSpace): Location[] {
  const changed: Location[] = [];
  // Where reading does not show them, nobody else sees them either, nor writes over one.
  if (space.breakpoints?.visible === false) return changed;
  const bytes = new Uint8Array(PAGE);
  for (const [page, locations] of byPage(space.locations.values())) {
    const length = space.memory.readSome(page, bytes);
    for (const location of locations) {
      const offset = location.address - page;
      // Unmapped text is its image's business.
      if (location.armed && offset < length && bytes[offset] !== BREAKPOINT) changed.push(location);
    }
  }
  return changed;
}

/** What the user is told of them; undefined where no probe of the user's was there. */
export function sayChanged(locations: readonly Location[], probes: readonly Probe[]): string | undefined {
  const [first, ...others] = locations;
  const count = probes.filter(({ definition }) => definition.internal !== true).length;
  if (first === undefined || count === 0) return undefined;
  const places = others.length === 0 ? "" : ` and ${others.length} other ${plural("place", others.length)}`;
  return `text was changed at ${formatAddress(first.address)}${places}, not by us: ${count} ${plural("probe", count)} given up there`;
}

function plural(word: string, count: number): string {
  return count === 1 ? word : `${word}s`;
}
