/** The probe of http and https URLs: healthy is an answer with one of the expected statuses. */
import { CommandError } from "../errors.ts";
import { authorizationOf, type Header } from "./headers.ts";
import { speaksHttp2 } from "./http2.ts";
import { type Client, type ClientOptions, HttpClients } from "./http_clients.ts";
import { lookUp } from "./lookup.ts";
import type { Prober } from "./probe.ts";
import { NOT_HTTP, reasonOf } from "./reasons.ts";
import type { Statuses } from "./statuses.ts";
import { type HealthUrl, isHttp, redactUrl } from "./url.ts";

/** What a probe asks and expects, and how it connects. */
export interface HttpProbeOptions extends Omit<ClientOptions, "hasHost"> {
  /** The User-Agent header. */
  readonly userAgent: string;
  /** More headers, which replace those that sipid sets itself. */
  readonly headers: readonly Header[];
  /** The statuses that count as healthy. */
  readonly statuses: Statuses;
}

/** Redirects that one probe follows. */
const MAX_REDIRECTS = 10;

/** One request: the URL that was asked for, or the target of a redirect. */
interface Request {
  readonly url: URL;
  /** How many redirects led to it. */
  readonly redirects: number;
  /** Whether all of them stayed with the scheme, host and port that was asked for. */
  readonly isTrusted: boolean;
}

/** Probes an HTTP server. */
export class HttpProber implements Prober {
  /** A URL is probed. */
  readonly kind = "url";
  /** The URL as messages name it. */
  readonly target: string;
  readonly #url: URL;
  readonly #options: HttpProbeOptions;
  readonly #clients: HttpClients;
  /** Whom the current request waits for if that is not the URL's own host. */
  #peer: string | undefined;

  /**
   * Prepares to probe a URL.
   *
   * @throws {CommandError} a certificate or key cannot be read or used
   */
  constructor(
    { url, shown }: Extract<HealthUrl, { kind: "http" }>,
    options: HttpProbeOptions,
  ) {
    this.target = shown;
    this.#url = url;
    this.#options = options;
    const hasHost = options.headers.some(({ name }) => name.toLowerCase() === "host");
    this.#clients = new HttpClients({ ...options, hasHost });
  }

  /** Asks once, and follows redirects. */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    let request: Request = { url: this.#url, redirects: 0, isTrusted: true };
    while (request.redirects <= MAX_REDIRECTS) {
      const answer = await this.#ask(request, signal);
      if (answer === undefined) return undefined;
      if (typeof answer === "string") {
        return request.redirects === 0 ? answer : `${redactUrl(request.url.href)}: ${answer}`;
      }
      request = {
        url: answer,
        redirects: request.redirects + 1,
        isTrusted: request.isTrusted && answer.origin === this.#url.origin,
      };
    }
    return `more than ${MAX_REDIRECTS} redirects, the last one to ${redactUrl(request.url.href)}`;
  }

  /** Says that there was no answer, and whose that would have been if not the target's. */
  noResult(when: string): string {
    return `${this.#peer === undefined ? "" : `${this.#peer}: `}no answer ${when}`;
  }

  /** Returns undefined if the answer is healthy, the URL it redirects to, or a reason. */
  async #ask(request: Request, signal: AbortSignal): Promise<URL | string | undefined> {
    const { statuses, unixSocket } = this.#options;
    const { url, isTrusted } = request;
    this.#peer = request.redirects === 0 ? undefined : redactUrl(url.href);
    let client: Client | undefined;
    let response: Response;
    try {
      client = await this.#clients.for(url, isTrusted, signal);
      this.#peer = client.peer ?? this.#peer;
      // The runtime's own lookup could not be given up: it follows one that has got an answer.
      if (client.hostname !== undefined) await lookUp(client.hostname, signal);
      response = await fetch(withoutCredentials(client.url), {
        client: client.http,
        signal,
        redirect: "manual",
        headers: this.#headersFor(request, client),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CommandError) throw error;
      const reason = reasonOf(error, client?.peer);
      const mayBeHttp2 = reason === NOT_HTTP && url.protocol === "http:" && !client?.isProxied;
      return mayBeHttp2 && await speaksHttp2(url, unixSocket, signal)
        ? "HTTP/2 without TLS is not supported"
        : reason;
    }
    // Only the status counts. The rest of the body is not downloaded, however it ends.
    response.body?.cancel().catch(() => {});
    if (statuses.includes(response.status)) return undefined;
    return redirectOf(response, url) ?? `${statusOf(response)} (expected ${statuses.text})`;
  }

  /** The user's headers and credentials are for the server that was asked for, and no other. */
  #headersFor({ url, isTrusted }: Request, { host }: Client): Headers {
    const headers = new Headers({ "user-agent": this.#options.userAgent, "accept": "*/*" });
    if (host !== undefined) headers.set("host", host);
    const authorization = authorizationOf(url) ??
      (isTrusted ? authorizationOf(this.#url) : undefined);
    if (authorization !== undefined) headers.set("authorization", authorization);
    if (!isTrusted) return headers;
    for (const { name } of this.#options.headers) headers.delete(name);
    for (const { name, value } of this.#options.headers) headers.append(name, value);
    return headers;
  }
}

function withoutCredentials(url: URL): URL {
  const copy = new URL(url);
  copy.username = copy.password = "";
  return copy;
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
