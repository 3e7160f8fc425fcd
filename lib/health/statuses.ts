/** The value of --status: which HTTP statuses count as healthy. */
import { UsageError } from "../errors.ts";

/** A set of HTTP statuses. */
export interface Statuses {
  /** The list as it was typed. */
  readonly text: string;
  /** Returns whether a status is in the list. */
  readonly includes: (status: number) => boolean;
}

/**
 * Parses a list of statuses and ranges, such as `200-299,401`.
 *
 * @throws {UsageError} it is not such a list
 */
export function parseStatuses(text: string): Statuses {
  const ranges = text.split(",").map((part) => {
    const [, first, last = first] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(part.trim()) ?? [];
    const range = [Number(first), Number(last)] as const;
    if (!(range[0] <= range[1])) {
      throw new UsageError("expected HTTP statuses such as 200,204 or 200-299,401");
    }
    return range;
  });
  return {
    text,
    includes: (status) => ranges.some(([first, last]) => first <= status && status <= last),
  };
}
