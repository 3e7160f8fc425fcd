/** Resolves after `ms` milliseconds; rejects with the reason of `signal` when that is aborted. */
export function delay(
  ms: number,
  options?: { signal?: AbortSignal; persistent?: boolean },
): Promise<void>;
