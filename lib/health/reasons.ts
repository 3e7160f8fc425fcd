/** Why a probe failed, in words. The runtime's own words are not for users. */
import { errorText } from "../errors.ts";

/** What a server that speaks another protocol gets. */
export const NOT_HTTP = "the answer is not HTTP";

/** What the runtime says, and what a person understands. The first that matches counts. */
type Reasons = readonly (readonly [pattern: RegExp, words: string])[];

/** No connection: the reason is about the peer that was connected to, be it a proxy or a socket. */
const CONNECTION: Reasons = [
  [/Connection refused/, "connection refused"],
  [/failed to lookup address information/, "the host name cannot be resolved"],
  [/Network is unreachable/, "network is unreachable"],
  [/No route to host/, "no route to host"],
  [/No such file or directory/, "does not exist"],
  [/Not a directory/, "one of its parents is not a directory"],
  [/Permission denied/, "permission denied"],
  [/Resource temporarily unavailable/, "nothing accepts connections (the backlog is full)"],
  [/wrong type for socket/, "it is not a stream socket"],
  [/SUN_LEN/, "the path is longer than 107 bytes"],
  [/timed out|os error 110/i, "connection timed out"],
  [/Proxy server unreachable/, "no connection"],
  [/proxy authentication required/, "wrong or missing user name and password"],
  [/unsuccessful tunnel/, "refused to connect to the host"],
  [/eof while tunneling/, "closed the connection without an answer"],
];

/** A connection, and no answer that could be understood. */
const ANSWER: Reasons = [
  [/connection reset|os error 104/i, "connection reset by the server"],
  // Alerts are what the server has to say about the client.
  [
    /fatal alert: CertificateExpired/,
    "the server does not accept the client certificate, which has expired",
  ],
  [
    /fatal alert: (?:\w+Certificate|CertificateUnknown|CertificateRevoked|UnknownCA|DecryptError)/,
    "the server does not accept the client certificate",
  ],
  [/UnknownIssuer/, "certificate signed by unknown authority; trust it with --ca-cert FILE"],
  [/CaUsedAsEndEntity/, "the server uses the certificate of an authority as its own"],
  [/not valid for name "([^"]*)"/, "certificate is not valid for the host $1"],
  [/expired/i, "certificate has expired"],
  [/not valid yet|NotValidYet/, "certificate is not valid yet"],
  [/Revoked/, "certificate was revoked"],
  [/UnsupportedCertVersion/, "X.509 version 1 certificates are not supported"],
  [/CertificateRequired/, "the server requires a client certificate; use --cert and --key"],
  [/received fatal alert: (\w+)/, "the server ended the TLS handshake: $1"],
  [/InvalidContentType|corrupt message/, "the server does not speak TLS"],
  [/KeyMismatch/, "they do not belong together"],
  [/no keys found|encrypted/i, "the key is encrypted"],
  [/parse private key/, "the key is damaged or of an unsupported kind"],
  [/decode key/, "the key is damaged"],
  [/BadEncoding/, "a certificate is damaged"],
  [/invalid peer certificate: (.*)/, "invalid certificate: $1"],
  [/tls handshake eof|peer closed connection/i, "the server closed the connection unexpectedly"],
  [
    /connection closed before message|unexpected end of file|Broken pipe/i,
    "the server closed the connection without an answer",
  ],
  [/message head is too large/, "the answer has more than 100 headers, or too long ones"],
  [/invalid content-length/, "the answer has an invalid Content-Length"],
  [
    /invalid HTTP|invalid status|invalid header|unexpected message|too large|http2 error/i,
    NOT_HTTP,
  ],
  [/channel closed|canceled/, "the answer is not HTTP, or the connection broke off"],
];

/**
 * Returns why a connection or a request failed.
 *
 * @param peer what was connected to in place of the host, such as a proxy
 */
export function reasonOf(error: unknown, peer?: string): string {
  if (error instanceof AggregateError) {
    // Several addresses: usually they fail for the same reason.
    return [...new Set(error.errors.map((it) => reasonOf(it, peer)))].join("; ");
  }
  const text = detail(error);
  const connection = match(CONNECTION, text);
  if (connection !== undefined) return peer === undefined ? connection : `${peer}: ${connection}`;
  // Only the innermost cause: what precedes it is the runtime's own affair.
  return match(ANSWER, text) ?? errorText(new Error(text.split(/: (?=[^:]*$)/).at(-1)));
}

/** The message from where it is about the error: a URL before that could match any pattern. */
function detail(error: unknown): string {
  // Deno 2.9 throws "fetch failed", and has the same message as before in its cause.
  if (error instanceof Error && error.cause instanceof Error) return detail(error.cause);
  const message = error instanceof Error ? error.message : String(error);
  return message.slice(Math.max(0, message.lastIndexOf("client error (")));
}

function match(reasons: Reasons, text: string): string | undefined {
  for (const [pattern, words] of reasons) {
    const found = pattern.exec(text);
    if (found !== null) return words.replace("$1", () => found[1] ?? "");
  }
  return undefined;
}
