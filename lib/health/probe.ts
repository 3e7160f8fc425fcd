/** What all probes have in common: one question, asked again until the answer is yes. */

/** Probes one service, again and again. */
export interface Prober {
  /** What is probed, as messages name it: a URL without secrets, or a command. */
  readonly target: string;
  /** Whom the current probe waits for if that is not the target itself, such as a proxy. */
  readonly peer: string | undefined;
  /**
   * Probes once.
   *
   * @returns undefined if the service is healthy; else the reason, in words
   * @throws the reason of `signal` when that is aborted
   */
  probe(signal: AbortSignal): Promise<string | undefined>;
}
