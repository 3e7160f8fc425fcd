/** The probes of tcp:// and unix:// URLs: healthy is a connection that is accepted. */
import { connectToAny, connectToSocket } from "./connect.ts";
import type { Prober } from "./probe.ts";
import { reasonOf } from "./reasons.ts";
import type { HealthUrl } from "./url.ts";

/** Connects, and closes the connection at once. */
export class SocketProber implements Prober {
  /** A URL is probed. */
  readonly kind = "url";
  /** The URL as it was typed. */
  readonly target: string;
  readonly #url: Exclude<HealthUrl, { kind: "http" }>;

  /** Prepares to probe a URL. */
  constructor(url: Exclude<HealthUrl, { kind: "http" }>) {
    this.target = url.shown;
    this.#url = url;
  }

  /** Connects once. */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    try {
      const connection = this.#url.kind === "tcp"
        ? await connectToAny(this.#url.hostname, this.#url.port, signal)
        : await connectToSocket(this.#url.path, signal);
      connection.close();
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      return reasonOf(error);
    }
  }

  /** Says that nothing accepted. */
  noResult(when: string): string {
    return `no connection ${when}`;
  }
}
