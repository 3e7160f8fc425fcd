/** The URL of a health check: parsed, and as messages show it. */
import { UsageError } from "../errors.ts";
import { decode } from "./headers.ts";

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
    if (/^\s*(https?|tcp|unix):/i.test(text)) {
      throw new UsageError("expected http://HOST, https://HOST, tcp://HOST:PORT or unix:///PATH");
    }
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

/** Names of parameters whose values are secrets. */
const SECRET_NAME = new RegExp(
  "token|secret|pass($|w|phrase|code)|pwd|signature|credential|session|auth|^sig$|" +
    "(^|[-_.]|api|access|private)key$",
  "i",
);

/**
 * Returns a URL for messages: without its password and the secrets of its query and fragment. One
 * with a password comes out in the URL parser's own notation.
 */
export function redactUrl(text: string): string {
  const url = URL.parse(text);
  // root:secret@db/ parses as a URL with the scheme root and without a host.
  if (!url?.host) {
    // What is not a URL may have its password anywhere before its last @.
    return redactParameters(text.replace(/^([^@]*?\/\/[^:@/]*|[^:@/]*):.*@/s, "$1:xxxxx@"));
  }
  if (url.password === "") return redactParameters(text);
  url.password = "xxxxx";
  return redactParameters(url.href);
}

function redactParameters(text: string): string {
  return text.replace(
    /([?&;#])([^=?&;#]+)=([^?&;#]*)/g,
    (pair, start: string, name: string, value: string) =>
      isSecret(name, value) ? `${start}${name}=xxxxx` : pair,
  );
}

/** A value can be a URL with secrets itself, such as the page to return to after a login. */
function isSecret(name: string, value: string): boolean {
  return SECRET_NAME.test(decode(name)) || holdsSecret(decode(value), value);
}

function holdsSecret(text: string, encoded: string): boolean {
  return text !== encoded && (redactUrl(text) !== text || holdsSecret(decode(text), text));
}
