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
  /** Called with every reason that differs from the one before. */
  readonly onReason: (reason: string) => void;
}

/** A silence this long, in milliseconds, is worth more to the user than an older reason. */
const LONG_SILENCE_MS = 1_000;

/** Why a probe was aborted at its own limit. */
const PROBE_TIMEOUT = new DOMException("the probe's limit", "TimeoutError");

/** One run of probes. */
export class HealthCheck {
  /** How many probes have begun. */
  attempts = 0;
  readonly #prober: Prober;
  readonly #options: HealthCheckOptions;
  #reason: string | undefined;
  /** When the current probe began, on the clock of performance.now(). */
  #probeBegin: number | undefined;

  /** Prepares to probe with `prober`. */
  constructor(prober: Prober, options: HealthCheckOptions) {
    this.#prober = prober;
    this.#options = options;
  }

  /** What is probed, as messages name it. */
  get target(): string {
    return this.#prober.target;
  }

  /** Why the service is not healthy: the last reason, or the current probe's silence if longer. */
  get reason(): string {
    const silence = this.#probeBegin === undefined ? 0 : performance.now() - this.#probeBegin;
    return this.#reason === undefined || silence > LONG_SILENCE_MS
      ? this.#noAnswer(silence)
      : this.#reason;
  }

  /**
   * Resolves when the service is healthy. The first probe begins at once.
   *
   * @throws the reason of `signal` when that is aborted
   */
  async untilHealthy(signal: AbortSignal): Promise<void> {
    for (;;) {
      const next = performance.now() + this.#options.pollingFrequency;
      const reason = await this.#probe(signal);
      if (reason === undefined) return;
      if (reason !== this.#reason) this.#options.onReason(reason);
      this.#reason = reason;
      await delay(Math.max(0, next - performance.now()), { signal });
    }
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
      return await this.#prober.probe(controller.signal);
    } catch (error) {
      if (error !== PROBE_TIMEOUT) throw error;
      return this.#noAnswer(probeTimeout);
    } finally {
      this.#probeBegin = undefined;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  #noAnswer(ms: number): string {
    const { peer } = this.#prober;
    return `${peer === undefined ? "" : `${peer}: `}no answer within ${formatDuration(ms)}`;
  }
}
