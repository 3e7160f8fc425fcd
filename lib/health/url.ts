/** The URL of a health check: parsed, and as messages show it. */
import { UsageError } from "../errors.ts";

/** A URL that can be probed; `shown` is the URL as it was typed, without secrets. */
export type HealthUrl =
  | { readonly kind: "http"; readonly url: URL; readonly shown: string }
  | {
    readonly kind: "tcp";
    /** A name or an address, without brackets. */
    readonly hostname: string;
    readonly port: number;
    readonly shown: string;
  }
  | { readonly kind: "unix"; readonly path: string; readonly shown: string };

const SCHEMES = ["http", "https", "tcp", "unix"];

/**
 * Parses the value of --url.
 *
 * @throws {UsageError} it has no scheme or an unsupported one, or is not a URL
 */
export function parseHealthUrl(text: string): HealthUrl {
  const [, typed, rest = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  const shown = redactUrl(text);
  if (typed === undefined) {
    const example = `http://${shown.replace(/^:?\/*/, "")}`;
    throw new UsageError(`missing protocol scheme; did you mean ${example}?`);
  }
  const scheme = typed.toLowerCase();
  if (!SCHEMES.includes(scheme)) {
    throw new UsageError(`unsupported scheme "${typed}"; supported are ${SCHEMES.join(", ")}`);
  }
  if (scheme === "tcp") return parseTcp(rest, shown);
  if (scheme === "unix") {
    if (!/^\/.*[^/]$/.test(rest)) throw new UsageError("expected unix:///PATH");
    return { kind: "unix", path: rest, shown };
  }
  const url = URL.parse(text);
  if (url === null || !/^[^/]/.test(rest)) {
    throw new UsageError("expected a URL such as http://127.0.0.1:8080/health");
  }
  return { kind: "http", url, shown };
}

function parseTcp(rest: string, shown: string): HealthUrl {
  const [, host, port] = /^(\[[^\]/]*\]|[^:/?#@]+):(\d{1,5})\/?$/.exec(rest) ?? [];
  const hostname = host === undefined ? undefined : URL.parse(`http://${host}/`)?.hostname;
  if (hostname === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new UsageError("expected tcp://HOST:PORT, such as tcp://127.0.0.1:6379");
  }
  return { kind: "tcp", hostname: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port), shown };
}

/** Returns whether fetch should probe a URL. It would also take data: and file:, which say nothing. */
export function isHttp(url: URL): boolean {
  return url.protocol === "http:" || url.protocol === "https:";
}

/** Names of query parameters whose values are secrets. */
const SECRET_NAME =
  /token|secret|passw|pwd|api_?key|signature|credential|session|^key$|^sig$|auth/i;

/** Returns a URL for messages: without its password and the secrets of its query. */
export function redactUrl(text: string): string {
  const parsed = URL.parse(text);
  // root:secret@db/ parses as a URL with the scheme root and without a host.
  const url = parsed?.host ? parsed : null;
  // What is not a URL may have its password anywhere before its last @.
  const password = url === null
    ? /^([^@]*?\/\/[^:@/]*|[^:@/]*):.*@/s
    : url.password !== ""
    ? /^([^:]*:\/\/[^:@/]*):[^@]*@/
    : /$^/;
  return text.replace(password, "$1:xxxxx@").replace(
    /([?&])([^=&#]+)=[^&#]*/g,
    (pair, start: string, name: string) => SECRET_NAME.test(name) ? `${start}${name}=xxxxx` : pair,
  );
}
