/** A change of an input: `remove` bytes at `at` give way to others. */
export interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: Uint8Array;
}

/** Bytes over others: what stands behind them stays where it is. */
export function overwrite(at: number, insert: Uint8Array): Edit {
  return { at, remove: insert.length, insert };
}

/** What cuts a file of that length off. */
export function truncateAt(at: number, length: number): Edit {
  return { at, remove: length - at, insert: new Uint8Array(0) };
}

/** The input after its edits, one after the other; each sees what the ones before it made. */
export function applyEdits(original: Uint8Array, edits: readonly Edit[]): Buffer {
  let bytes = Buffer.from(original);
  for (const edit of edits) {
    const at = Math.min(edit.at, bytes.length);
    const end = Math.min(at + edit.remove, bytes.length);
    if (end - at === edit.insert.length) bytes.set(edit.insert, at);
    else bytes = Buffer.concat([bytes.subarray(0, at), edit.insert, bytes.subarray(end)]);
  }
  return bytes;
}

/**
 * The smallest list of edits, found by leaving out and shortening, that still fails.
 *
 * @param fails asked at most `tries` times
 */
export async function minimise(
  edits: readonly Edit[],
  fails: (edits: readonly Edit[]) => Promise<boolean>,
  tries = 100,
): Promise<readonly Edit[]> {
  let best = edits;
  let left = tries;
  const attempt = async (candidate: readonly Edit[]): Promise<boolean> => {
    if (left-- <= 0 || !(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.length;) {
      const without = best.filter((_, index) => index < from || index >= from + size);
      if (!(await attempt(without))) from += size;
    }
  }
  for (let index = 0; index < best.length; index += 1) {
    for (let edit = best[index]; edit !== undefined && edit.insert.length > 1;) {
      const half = edit.insert.length >> 1;
      const shorter = [edit.insert.subarray(0, half), edit.insert.subarray(half)].map((insert): Edit => {
        const sameLength = edit?.remove === edit?.insert.length;
        return { at: edit?.at ?? 0, remove: sameLength ? insert.length : (edit?.remove ?? 0), insert };
      });
      let found: Edit | undefined;
      for (const one of shorter) {
        if (found === undefined && (await attempt(best.with(index, one)))) found = one;
      }
      edit = found;
    }
  }
  return best;
}
