/** Certificates and keys: read, checked before they are used, and the system's own. */
import { CommandError, errnoOf, errorText, toCommandError } from "../errors.ts";
import { openNonblocking } from "../pidfile/nonblocking_open.ts";
import { readBytes } from "../pidfile/regular_file.ts";
import { shellQuote } from "../shell_quote.ts";
import { reasonOf } from "./reasons.ts";

/** Bytes of a PEM file that are read: many times those of all authorities there are. */
const MAX_PEM_BYTES = 16 * 1024 * 1024;

/** Paths of PEM files. */
export interface TlsFiles {
  /** Authorities to trust in addition to the system's and Mozilla's. */
  readonly caCert: string | undefined;
  /** A client certificate; together with `key`. */
  readonly cert: string | undefined;
  /** Its key. */
  readonly key: string | undefined;
}

/** What an HTTP client gets of them. */
export interface Tls {
  /** For every server. */
  readonly authorities: { readonly caCerts?: string[] };
  /** For the server that was asked for, and no other. */
  readonly identity: Partial<Deno.TlsCertifiedKeyPem>;
}

/**
 * Reads the files.
 *
 * @throws {CommandError} one cannot be read or used
 */
export function readTls({ caCert, cert, key }: TlsFiles): Tls {
  const authorities = caCert === undefined ? {} : { caCerts: [readPem(caCert, "CERTIFICATE")] };
  if (cert === undefined || key === undefined) return { authorities, identity: {} };
  const identity = { cert: readPem(cert, "CERTIFICATE"), key: readPem(key, "PRIVATE KEY") };
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: .*ENCRYPTED/m.test(identity.key)) {
    throw new CommandError(`${key}: the key is encrypted; decrypt it with openssl pkey`);
  }
  checkPair(identity, `${cert}, ${key}`);
  return { authorities, identity };
}

function readPem(path: string, block: string): string {
  let text: string;
  try {
    using file = openPem(path);
    text = new TextDecoder().decode(readBytes(file, MAX_PEM_BYTES));
  } catch (error) {
    throw toCommandError(`cannot read ${path}`, error);
  }
  // There are RSA PRIVATE KEY and EC PRIVATE KEY. A TRUSTED CERTIFICATE is openssl's own form.
  const kind = block === "PRIVATE KEY" ? "(?:[A-Z]+ )?" : "";
  if (new RegExp(`-----BEGIN ${kind}${block}-----`).test(text)) return text;
  throw new CommandError(`${path}: contains no "BEGIN ${block}"; use a PEM file`);
}

/**
 * Opens a regular file without blocking, which no timer could end: its owner may put a FIFO there,
 * or hold a lease.
 */
function openPem(path: string): Deno.FsFile {
  const info = Deno.statSync(path);
  const file = info.isFile ? openNonblocking(Deno.realPathSync(path), false) : "missing";
  if (typeof file === "object") return file;
  const fact = file === "blocked"
    ? `another process holds it up with a lease; find it with: fuser -v ${shellQuote(path)}`
    : `is ${info.isDirectory ? "a directory" : "not a regular file"}; write the PEM to a file`;
  throw new CommandError(`cannot read ${path}: ${fact}`);
}

/**
 * Throws if the runtime cannot use the pair. It aborts when an HTTP client gets such a pair, but a
 * TLS listener makes the same checks and throws, so one is opened that is never listened on.
 */
function checkPair(pair: Deno.TlsCertifiedKeyPem, files: string): void {
  try {
    Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...pair }).close();
  } catch (error) {
    if (errnoOf(error) !== undefined) return; // no free port, which is another matter
    throw new CommandError(`${files}: cannot be used as certificate and key: ${reasonOf(error)}`);
  }
}

/** Where the runtime looks for the system's certificates. */
export const CERTIFICATE_VARIABLES = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/**
 * Makes the runtime trust the system's certificates in addition to Mozilla's, whatever else the
 * environment says. It reads these variables when it creates its first client.
 *
 * @returns a warning for each variable that is ignored: the runtime would fail on a missing file
 * @throws {CommandError} one names a FIFO, for whose writer the runtime would wait for ever
 */
export function trustSystemCertificates(): string[] {
  Deno.env.set("DENO_TLS_CA_STORE", "system,mozilla");
  Deno.env.delete("DENO_CERT");
  const warnings = [];
  for (const name of CERTIFICATE_VARIABLES) {
    const path = Deno.env.get(name);
    if (path === undefined) continue;
    try {
      if (Deno.statSync(path).isFifo) {
        throw new CommandError(`cannot read ${path}: is a FIFO; correct or unset ${name}`);
      }
    } catch (error) {
      if (error instanceof CommandError) throw error;
      warnings.push(`ignoring ${name}=${path}: ${errorText(error)}`);
      Deno.env.delete(name);
    }
  }
  return warnings;
}
