/** HTTP clients: one for each proxy, with and without the client certificate. */
import { CommandError } from "../errors.ts";
import { proxyFor, type ProxySettings } from "./http_proxy.ts";
import { reasonOf } from "./reasons.ts";
import { CERTIFICATE_VARIABLES, readTls, type Tls, type TlsFiles } from "./tls.ts";
import { redactUrl } from "./url.ts";

/** How clients connect. */
export interface ClientOptions extends TlsFiles {
  /** The path of a socket to connect to in place of the URL's host. */
  readonly unixSocket: string | undefined;
  /** The proxies of the environment. */
  readonly proxies: ProxySettings;
  /** Whether requests to the server that was asked for set the Host header. */
  readonly hasHost: boolean;
}

/** A client, and what it connects to in place of the URL's host. */
export interface Client {
  /** For fetch(). */
  readonly http: Deno.HttpClient;
  /** A proxy or a socket as messages name it; undefined for the host itself. */
  readonly peer: string | undefined;
  /** Whether `peer` is a proxy. */
  readonly isProxied: boolean;
}

/** Creates clients when they are needed, and keeps them. */
export class HttpClients {
  readonly #tls: Tls;
  readonly #options: ClientOptions;
  readonly #clients = new Map<string, Client>();

  /**
   * Reads the certificates.
   *
   * @throws {CommandError} a certificate or key cannot be read or used
   */
  constructor(options: ClientOptions) {
    this.#tls = readTls(options);
    this.#options = options;
  }

  /**
   * Returns the client for a URL.
   *
   * @param isTrusted whether the server is the one that was asked for, which may see the client
   * certificate
   * @throws {CommandError} the environment's proxy or certificates cannot be used
   */
  async for(url: URL, isTrusted: boolean): Promise<Client> {
    const { unixSocket, proxies } = this.#options;
    const proxy = unixSocket === undefined ? await proxyFor(url, proxies) : undefined;
    const name = `${isTrusted} ${proxy}`;
    let client = this.#clients.get(name);
    if (client === undefined) {
      client = this.#create(proxy, isTrusted);
      this.#clients.set(name, client);
    }
    return client;
  }

  #create(proxy: string | undefined, isTrusted: boolean): Client {
    const { caCert, unixSocket, hasHost } = this.#options;
    const { authorities, identity } = this.#tls;
    const via: Deno.Proxy | undefined = unixSocket !== undefined
      ? { transport: "unix", path: unixSocket }
      : proxy !== undefined
      ? { url: proxy }
      : undefined;
    const peer = unixSocket ?? (proxy === undefined ? undefined : `proxy ${redactUrl(proxy)}`);
    try {
      const http = Deno.createHttpClient({
        ...authorities,
        ...(isTrusted ? identity : {}),
        ...(via === undefined ? {} : { proxy: via }),
        // HTTP/2 has the host in another place, and servers reject two that differ.
        ...(isTrusted && hasHost ? { allowHost: true, http2: false } : {}),
        poolMaxIdlePerHost: 0, // every probe asks whether a connection can be made
      });
      return { http, peer, isProxied: proxy !== undefined };
    } catch (error) {
      if (/platform certificates/.test(String(error))) {
        const names = CERTIFICATE_VARIABLES.join(" and ");
        throw new CommandError(
          `cannot load the system's certificates; correct or unset ${names}`,
        );
      }
      if (caCert === undefined) throw error;
      throw new CommandError(`${caCert}: cannot be used as an authority: ${reasonOf(error)}`);
    }
  }
}
