/** The probe of http and https URLs: healthy is an answer with status 200. */
import { type ClientOptions, HttpClients } from "./http_clients.ts";
import type { Prober } from "./probe.ts";
import { reasonOf } from "./reasons.ts";
import { type HealthUrl, isHttp, redactUrl } from "./url.ts";

/** What a probe asks, and how it connects. */
export interface HttpProbeOptions extends ClientOptions {
  /** The User-Agent header. */
  readonly userAgent: string;
}

/** Redirects that one probe follows. */
const MAX_REDIRECTS = 10;

/** Probes an HTTP server. */
export class HttpProber implements Prober {
  /** The URL as messages name it. */
  readonly target: string;
  /** A proxy, a socket or a redirect's target that the current probe waits for. */
  peer: string | undefined;
  readonly #url: URL;
  readonly #clients: HttpClients;
  readonly #userAgent: string;

  /**
   * Prepares to probe a URL.
   *
   * @throws {CommandError} a certificate or key cannot be read or used
   */
  constructor({ url, shown }: HealthUrl, options: HttpProbeOptions) {
    this.target = shown;
    this.#url = url;
    this.#clients = new HttpClients(options);
    this.#userAgent = options.userAgent;
  }

  /** Asks once, and follows redirects. */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    let url = this.#url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const redirected = redirects === 0 ? undefined : redactUrl(url.href);
      const answer = await this.#ask(url, redirected, signal);
      if (answer === undefined) return undefined;
      if (typeof answer === "string") {
        return redirected === undefined ? answer : `${redirected}: ${answer}`;
      }
      url = answer;
    }
    return `more than ${MAX_REDIRECTS} redirects, the last one to ${redactUrl(url.href)}`;
  }

  /** Returns undefined if the answer is healthy, the URL it redirects to, or a reason. */
  async #ask(
    url: URL,
    redirected: string | undefined,
    signal: AbortSignal,
  ): Promise<URL | string | undefined> {
    const { http, peer } = await this.#clients.for(url, url.origin === this.#url.origin);
    this.peer = peer ?? redirected;
    let response: Response;
    try {
      response = await fetch(url, {
        client: http,
        signal,
        redirect: "manual",
        headers: { "user-agent": this.#userAgent, "accept": "*/*" },
      });
    } catch (error) {
      signal.throwIfAborted();
      return reasonOf(error, peer);
    }
    // Only the status counts. The rest of the body is not downloaded, however it ends.
    response.body?.cancel().catch(() => {});
    if (response.status === 200) return undefined;
    return redirectOf(response, url) ?? `${statusOf(response)} (expected 200)`;
  }
}

function statusOf({ status, statusText }: Response): string {
  return statusText === "" ? `status ${status}` : `${status} ${statusText}`;
}

/** Returns where a response redirects to, a reason if that is not HTTP, undefined if nowhere. */
function redirectOf(response: Response, from: URL): URL | string | undefined {
  const location = response.headers.get("location");
  if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return undefined;
  const to = URL.parse(location, from.href);
  return to !== null && isHttp(to)
    ? to
    : `${statusOf(response)}, which redirects to something that is not an http or https URL`;
}
