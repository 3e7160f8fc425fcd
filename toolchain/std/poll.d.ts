/**
 * Calls `fn` every `interval` milliseconds (default 1000) until `isDone` holds for its result,
 * and resolves to that result; rejects with the reason of `signal` when that is aborted.
 */
export function poll<T>(
  fn: () => T | Promise<T>,
  isDone: (result: T) => boolean,
  options?: { interval?: number; signal?: AbortSignal },
): Promise<T>;
