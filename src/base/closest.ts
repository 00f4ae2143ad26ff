/** How many edits (insert, delete, replace, swap neighbours) may lie between a slip and what was meant. */
const MOST_EDITS = 3;
/** Longer names, which take the square of their length to compare, are nobody's slip. */
const LONGEST = 500;

/**
 * The candidate that a mistyped name most likely meant, for "did you mean …?".
 *
 * @returns undefined where nothing is near enough (a third of the name's length, at most 3 edits)
 */
export function closest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > LONGEST) return undefined;
  let best: string | undefined;
  let fewest = Math.min(MOST_EDITS, Math.ceil(name.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) >= fewest) continue;
    const edits = distance(name, candidate);
    if (edits < fewest) {
      fewest = edits;
      best = candidate;
    }
  }
  return best;
}

/** Candidates, nearest to a name first: what may have been meant instead of it. */
export function nearest(name: string, candidates: Iterable<string>, most: number): string[] {
  return [...new Set(candidates)]
    .filter((candidate) => candidate.length <= LONGEST)
    .map((candidate) => ({ candidate, edits: distance(name.slice(0, LONGEST), candidate) }))
    .sort((one, other) => one.edits - other.edits || (one.candidate < other.candidate ? -1 : 1))
    .slice(0, most)
    .map(({ candidate }) => candidate);
}

/** Damerau-Levenshtein distance, optimal string alignment. */
function distance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let edits = Math.min(replaced, at(previous, j) + 1, at(current, j - 1) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, at(beforePrevious, j - 2) + 1);
      }
      current.push(edits);
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
