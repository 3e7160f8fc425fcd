/** The word that was probably meant. */

/**
 * `; did you mean --pid-file?`, with the known word that is nearest; empty where none is near.
 *
 * Near is what a few slips of the fingers explain: one for every three characters.
 */
export function suggest(word: string, known: readonly string[]): string {
  const [nearest] = known.map((it) => ({ it, slips: slips(word.toLowerCase(), it) }))
    .filter(({ it, slips }) => slips <= Math.ceil(Math.max(word.length, it.length) / 3))
    .sort((a, b) => a.slips - b.slips);
  return nearest === undefined ? "" : `; did you mean ${nearest.it}?`;
}

/**
 * How many characters are wrong, missing, too many, or in each other's place.
 * Source: the optimal string alignment distance.
 */
function slips(one: string, other: string): number {
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
    rows.push(row);
  }
  return rows[one.length]![other.length]!;
}
