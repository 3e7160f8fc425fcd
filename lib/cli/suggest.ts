/** Suggestions for mistyped words. */

import type { Typo } from "../errors.ts";

/**
 * Returns `; did you mean --pid-file?` with the nearest known word, or nothing if none is near.
 * A word is near if at most a third of its characters are wrong.
 */
export function suggestion({ typed, known }: Typo): string {
  const [nearest] = known.flatMap((word) => {
    const limit = Math.ceil(Math.max(typed.length, word.length) / 3);
    const errors = distance(typed.toLowerCase(), word.toLowerCase(), limit);
    return errors === undefined ? [] : [{ word, errors }];
  })
    .sort((a, b) => a.errors - b.errors);
  return nearest === undefined ? "" : `; did you mean ${nearest.word}?`;
}

/**
 * Counts the characters that are wrong, missing, superfluous or swapped with their neighbour;
 * returns undefined as soon as they are more than `limit`.
 * Source: the optimal string alignment distance.
 */
function distance(one: string, other: string, limit: number): number | undefined {
  const rows = [Array.from({ length: other.length + 1 }, (_, k) => k)];
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let k = 1; k <= other.length; k++) {
      const isSame = one[i - 1] === other[k - 1];
      const isSwapped = one[i - 1] === other[k - 2] && one[i - 2] === other[k - 1];
      row[k] = Math.min(
        rows[i - 1]![k]! + 1,
        row[k - 1]! + 1,
        rows[i - 1]![k - 1]! + (isSame ? 0 : 1),
        isSwapped ? rows[i - 2]![k - 2]! + 1 : Infinity,
      );
    }
    // A swap looks back at two rows.
    if (Math.min(...row, ...rows.at(-1)!) > limit) return undefined;
    rows.push(row);
  }
  const errors = rows[one.length]![other.length]!;
  return errors <= limit ? errors : undefined;
}
