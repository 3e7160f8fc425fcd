/** The URL of a health check: parsed, and as messages show it. */
import { UsageError } from "../errors.ts";

/** The schemes of --url. */
const SCHEMES = ["http", "https"];

/** A URL that can be probed. */
export interface HealthUrl {
  /** The URL to fetch. */
  readonly url: URL;
  /** The URL as it was typed, without secrets. */
  readonly shown: string;
}

/**
 * Parses the value of --url.
 *
 * @throws {UsageError} it has no scheme or an unsupported one, or is not a URL
 */
export function parseHealthUrl(text: string): HealthUrl {
  const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text) ?? [];
  const shown = redactUrl(text);
  if (scheme === undefined) {
    const example = `http://${shown.replace(/^:?\/*/, "")}`;
    throw new UsageError(`missing protocol scheme; did you mean ${example}?`);
  }
  if (!SCHEMES.includes(scheme.toLowerCase())) {
    throw new UsageError(`unsupported scheme "${scheme}"; supported are ${SCHEMES.join(", ")}`);
  }
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\/[^/]/i.test(text)) {
    throw new UsageError("expected a URL such as http://127.0.0.1:8080/health");
  }
  return { url, shown };
}

/** Returns whether fetch can probe a URL. It would also take data: and file:, which say nothing. */
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
  const isSafe = url !== null && url.password === "";
  const password = url === null
    ? /^([^@]*?\/\/[^:@/]*|[^:@/]*):.*@/s
    : /^([^:]*:\/\/[^:@/]*):[^@]*@/;
  return (isSafe ? text : text.replace(password, "$1:xxxxx@")).replace(
    /([?&])([^=&#]+)=[^&#]*/g,
    (pair, start: string, name: string) => SECRET_NAME.test(name) ? `${start}${name}=xxxxx` : pair,
  );
}
