/** A health check: probes at a frequency until the service is healthy, and remembers why it is not. */
import { delay } from "@std/async/delay";
import { formatDuration } from "../duration.ts";
import type { Prober } from "./probe.ts";

/** How often and how long to probe. Times in milliseconds. */
export interface HealthCheckOptions {
  /** From the start of one probe to the start of the next. */
  readonly pollingFrequency: number;
  /** The limit of one probe. */
  readonly probeTimeout: number;
  /** How many probes in a row must succeed. */
  readonly successes: number;
  /** Called with every reason that differs from the one before. */
  readonly onReason: (reason: string) => void;
}

/** A silence this long, in milliseconds, is worth more to the user than an older reason. */
const LONG_SILENCE_MS = 1_000;

/** How much of a reason is shown, from its beginning and its end: servers write parts of it. */
const [SHOWN_FIRST_CHARS, SHOWN_LAST_CHARS] = [300, 100];

/** Why a probe was aborted at its own limit. */
const PROBE_TIMEOUT = new DOMException("the probe's limit", "TimeoutError");

/** One run of probes. */
export class HealthCheck {
  /** How many probes have begun. */
  attempts = 0;
  readonly #prober: Prober;
  readonly #options: HealthCheckOptions;
  #reason: string | undefined;
  /** Settles when the current probe has cleaned up. */
  #current: Promise<unknown> = Promise.resolve();
  /** When the current probe began, on the clock of performance.now(). */
  #probeBegin: number | undefined;

  /** Prepares to probe with `prober`. */
  constructor(prober: Prober, options: HealthCheckOptions) {
    this.#prober = prober;
    this.#options = options;
  }

  /**
   * Returns why the service is not healthy: the last reason, or that the current probe has had no
   * result for long.
   *
   * @param when until when it had none, such as `so far`
   */
  reason(when: string): string {
    const silence = this.#probeBegin === undefined ? 0 : performance.now() - this.#probeBegin;
    return this.#reason === undefined || silence > LONG_SILENCE_MS
      ? shorten(this.#prober.noResult(when))
      : this.#reason;
  }

  /**
   * Resolves when the service is healthy. The first probe begins at once.
   *
   * @throws the reason of `signal` when that is aborted
   */
  async untilHealthy(signal: AbortSignal): Promise<void> {
    const { pollingFrequency, successes } = this.#options;
    let inARow = 0;
    for (;;) {
      const next = performance.now() + pollingFrequency;
      const failure = await this.#probe(signal);
      inARow = failure === undefined ? inARow + 1 : 0;
      if (inARow === successes) return;
      const reason = shorten(failure ?? `healthy ${inARow} of ${successes} times in a row`);
      // The second success and those after it say nothing new.
      if (reason !== this.#reason && inARow < 2) this.#options.onReason(reason);
      this.#reason = reason;
      await delay(Math.max(0, next - performance.now()), { signal });
    }
  }

  /** Resolves when the current probe, which is to be aborted, has cleaned up. */
  async settled(): Promise<void> {
    await this.#current.catch(() => {});
  }

  async #probe(signal: AbortSignal): Promise<string | undefined> {
    signal.throwIfAborted();
    const { probeTimeout } = this.#options;
    // AbortSignal.any() and AbortSignal.timeout() would stay in memory after the probe.
    const controller = new AbortController();
    const abort = (): void => controller.abort(signal.reason);
    signal.addEventListener("abort", abort);
    const timer = setTimeout(() => controller.abort(PROBE_TIMEOUT), probeTimeout);
    this.attempts++;
    this.#probeBegin = performance.now();
    try {
      const result = this.#prober.probe(controller.signal);
      this.#current = result;
      return await result;
    } catch (error) {
      if (error !== PROBE_TIMEOUT) throw error;
      return this.#prober.noResult(`within ${formatDuration(probeTimeout)}`);
    } finally {
      this.#probeBegin = undefined;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }
}

function shorten(text: string): string {
  return text.length <= SHOWN_FIRST_CHARS + SHOWN_LAST_CHARS
    ? text
    : `${text.slice(0, SHOWN_FIRST_CHARS)}...${text.slice(-SHOWN_LAST_CHARS)}`;
}
