/** One HTTP probe of a healthcheck. */
import { CommandError, errnoOf, errorText, toCommandError } from "../errors.ts";
import { proxyFor, type ProxySettings } from "./http_proxy.ts";
import { info } from "../cli/output.ts";

/** How a probe connects. Paths are of PEM files and of a Unix socket. */
export interface ProbeOptions {
  /** A PEM file with authorities to trust on top of the usual ones. */
  readonly caCert: string | undefined;
  /** A PEM file with a client certificate; together with `key`. */
  readonly cert: string | undefined;
  /** A PEM file with its key. */
  readonly key: string | undefined;
  /** The path of a socket to connect to in place of the URL's host. */
  readonly unixSocket: string | undefined;
  /** What the environment says about proxies. */
  readonly proxies: ProxySettings;
  /** How the probe names itself to the server. */
  readonly userAgent: string;
}

/** Probes one URL, again and again. */
export interface Prober {
  /**
   * Asks once.
   *
   * @returns undefined if the answer is status 200; else why not, in words
   * @throws the reason of `signal` when that is aborted
   */
  probe(signal: AbortSignal): Promise<string | undefined>;
}

/** Redirects that are followed for one probe. */
const MAX_REDIRECTS = 10;

/**
 * A prober of `url`.
 *
 * @throws {CommandError} a certificate or key cannot be read or used
 */
export function prober(url: URL, options: ProbeOptions): Prober {
  const connect = clients(options);
  return { probe: (signal) => probe(url, connect, options.userAgent, signal) };
}

type Connect = (url: URL) => Promise<Deno.HttpClient>;

async function probe(
  url: URL,
  connect: Connect,
  userAgent: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  let at = url;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const client = await connect(at);
    let response: Response;
    try {
      response = await fetch(at, {
        client,
        signal,
        redirect: "manual",
        headers: { "user-agent": userAgent, "accept": "*/*" },
      });
    } catch (error) {
      signal.throwIfAborted();
      return reasonOf(error);
    }
    // The status is all that counts. What the server does with its body is its own affair.
    response.body?.cancel().catch(() => {});
    if (response.status === 200) return undefined;
    const next = redirectOf(response, at);
    if (next === undefined) return statusOf(response);
    if (typeof next === "string") return next;
    at = next;
  }
  return `more than ${MAX_REDIRECTS} redirects, the last one to ${shown(at)}`;
}

function statusOf({ status, statusText }: Response): string {
  return statusText === "" ? `status ${status}` : `${status} ${statusText}`;
}

/** Where the answer redirects to; undefined if it does not; a sentence if it cannot be followed. */
function redirectOf(response: Response, from: URL): URL | string | undefined {
  const location = response.headers.get("location");
  if (
    ![301, 302, 303, 307, 308].includes(response.status) || location === null
  ) return undefined;
  const to = URL.parse(location, from.href);
  // fetch would also take data: and file:, which are healthy whatever the server does.
  if (to === null || !isHttp(to)) {
    return `${statusOf(response)}, which leads to no http or https URL`;
  }
  return to;
}

/** Whether the URL is one a probe can fetch. */
export function isHttp(url: URL): boolean {
  return url.protocol === "http:" || url.protocol === "https:";
}

/** The URL for messages: as it was typed, but never with its password. */
export function shown(url: URL, typed: string = url.href): string {
  if (url.password === "") return typed;
  const copy = new URL(url);
  copy.password = "xxxxx";
  return copy.href;
}

/** A client for each proxy that is in question, none of which keeps a connection. */
function clients(options: ProbeOptions): Connect {
  const tls = readTls(options);
  trustSystemCertificates();
  const made = new Map<string | undefined, Deno.HttpClient>();
  return async (url) => {
    const proxy = options.unixSocket === undefined
      ? await proxyFor(url, options.proxies)
      : undefined;
    let client = made.get(proxy);
    if (client === undefined) {
      client = createClient(tls, options, proxy);
      made.set(proxy, client);
    }
    return client;
  };
}

type Tls = Pick<
  Deno.CreateHttpClientOptions & Deno.TlsCertifiedKeyPem,
  "caCerts" | "cert" | "key"
>;

/** Where the runtime looks for the system's certificates; what is not there makes it give up. */
const CERTIFICATE_VARIABLES = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/**
 * Has the runtime trust the certificates of the system beside Mozilla's, whatever else the
 * environment says. It reads these variables when it makes its first client.
 */
function trustSystemCertificates(): void {
  Deno.env.set("DENO_TLS_CA_STORE", "system,mozilla");
  Deno.env.delete("DENO_CERT");
  for (const name of CERTIFICATE_VARIABLES) {
    const path = Deno.env.get(name);
    if (path === undefined) continue;
    try {
      Deno.statSync(path);
    } catch (error) {
      info(`ignoring ${name}=${path}: ${errorText(error)}`);
      Deno.env.delete(name);
    }
  }
}

function readTls({ caCert, cert, key }: ProbeOptions): Partial<Tls> {
  const authorities = caCert === undefined ? {} : { caCerts: [readPem(caCert, "CERTIFICATE")] };
  if (cert === undefined || key === undefined) return authorities;
  const pair = { cert: readPem(cert, "CERTIFICATE"), key: readPem(key, "PRIVATE KEY") };
  checkPair(pair, `${cert} and ${key}`);
  return { ...authorities, ...pair };
}

/**
 * The runtime aborts when an HTTP client gets a certificate and a key that it cannot use, but a
 * TLS listener makes the same checks and throws. So they are shown to one first, which is never
 * listened on.
 */
function checkPair(pair: Deno.TlsCertifiedKeyPem, files: string): void {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair }).close();
  } catch (error) {
    if (errnoOf(error) !== undefined) return; // no port to be had, which is another matter
    throw new CommandError(`cannot use ${files} as certificate and key: ${reasonOf(error)}`);
  }
}

function readPem(path: string, what: string): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw toCommandError(`cannot read ${path}`, error);
  }
  if (new RegExp(`-----BEGIN [A-Z ]*${what}-----`).test(text)) return text;
  throw new CommandError(`${path} holds no "BEGIN ${what}" in PEM; give a PEM file`);
}

function createClient(
  tls: Partial<Tls>,
  { caCert, unixSocket }: ProbeOptions,
  proxy: string | undefined,
): Deno.HttpClient {
  const via: Deno.Proxy | undefined = unixSocket !== undefined
    ? { transport: "unix", path: unixSocket }
    : proxy !== undefined
    ? { url: proxy }
    : undefined;
  const base = via === undefined ? {} : { proxy: via };
  try {
    return Deno.createHttpClient({ ...tls, ...base, poolMaxIdlePerHost: 0 });
  } catch (error) {
    if (/platform certificates/.test(String(error))) {
      const which = CERTIFICATE_VARIABLES.join(" and ");
      throw new CommandError(
        `cannot load the system's certificates: correct ${which}, or unset them`,
      );
    }
    if (caCert === undefined) throw error;
    throw new CommandError(`cannot use ${caCert} as an authority: ${reasonOf(error)}`);
  }
}

/** What the runtime says, and what a person understands. The first that fits counts. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/Connection refused/, "connection refused"],
  [/Connection reset|os error 104/, "connection reset by the server"],
  [/dns error/, "the host name cannot be resolved"],
  [/UnknownIssuer/, "certificate signed by unknown authority"],
  [/CaUsedAsEndEntity/, "certificate of an authority used as the server's own"],
  [/not valid for name "([^"]*)"/, "certificate is not valid for the host $1"],
  [/expired/i, "certificate has expired"],
  [/not valid yet|NotValidYet/, "certificate is not valid yet"],
  [/Revoked/, "certificate was revoked"],
  [
    /CertificateRequired/,
    "the server requires a client certificate (--cert and --key)",
  ],
  [
    /UnknownCA|BadCertificate|DecryptError/,
    "the server does not accept the client certificate",
  ],
  [/received fatal alert: (\w+)/, "the server ended the TLS handshake: $1"],
  [/InvalidContentType|corrupt message/, "the server does not speak TLS"],
  [/KeyMismatch/, "they do not belong together"],
  [/parse private key/, "the key is damaged, or of a kind that is not supported"],
  [/decode key/, "the key is damaged or encrypted"],
  [/BadEncoding/, "a certificate is damaged"],
  [/invalid peer certificate: (.*)/, "invalid certificate: $1"],
  [
    /tls handshake eof|peer closed connection/i,
    "the server closed the connection unexpectedly",
  ],
  [
    /connection closed before message|unexpected end of file|Broken pipe/,
    "the server closed the connection without an answer",
  ],
  [
    /invalid HTTP version|invalid HTTP|invalid status|invalid header|too large|http2 error/i,
    "the answer is not HTTP",
  ],
  [/channel closed|canceled/, "the answer is not HTTP, or the connection broke off"],
  [/Network is unreachable/, "network is unreachable"],
  [/No route to host/, "no route to the host"],
  [/No such file or directory/, "the Unix socket does not exist"],
  [/Permission denied/, "permission denied on the Unix socket"],
  [/timed out|os error 110/i, "connection timed out"],
  [/proxy|tunnel/i, "the proxy refused"],
];

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  for (const [pattern, words] of REASONS) {
    const found = pattern.exec(message);
    if (found !== null) return words.replace("$1", found[1] ?? "");
  }
  // Only the innermost cause: what stands before it is the runtime's own affair.
  return errorText(new Error(message.split(/: (?=[^:]*$)/).at(-1)));
}
