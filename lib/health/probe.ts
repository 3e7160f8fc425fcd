/** What all probes have in common: one question, asked again until the answer is yes. */

/** Probes one service, again and again. */
export interface Prober {
  /** Whether `target` is a URL or the name of a command. */
  readonly kind: "url" | "command";
  /** What is probed, as messages name it: a URL without secrets, or a command's name. */
  readonly target: string;
  /**
   * Probes once.
   *
   * @returns undefined if the service is healthy; else the reason, in words
   * @throws the reason of `signal` when that is aborted, and everything has been cleaned up
   */
  probe(signal: AbortSignal): Promise<string | undefined>;
  /** Returns the reason if the current or last probe had no result, such as `within 30s`. */
  noResult(when: string): string;
}
