/**
 * Rejects with a `DOMException` named `TimeoutError` when `p` takes longer than `ms`
 * milliseconds, and with the reason of `signal` when that is aborted first.
 */
export function deadline<T>(
  p: Promise<T>,
  ms: number,
  options?: { signal?: AbortSignal },
): Promise<T>;
