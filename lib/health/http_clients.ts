/** HTTP clients: one for each proxy, with and without the client certificate. */
import { CommandError } from "../errors.ts";
import { endpointOf, findAddress } from "./connect.ts";
import { proxyFor, type ProxySettings } from "./http_proxy.ts";
import { reasonOf } from "./reasons.ts";
import { CERTIFICATE_VARIABLES, readTls, type Tls, type TlsFiles } from "./tls.ts";
import { redactUrl } from "./url.ts";
import { shellQuote } from "../shell_quote.ts";

/** How clients connect. */
export interface ClientOptions extends TlsFiles {
  /** The path of a socket to connect to in place of the URL's host. */
  readonly unixSocket: string | undefined;
  /** The proxies of the environment. */
  readonly proxies: ProxySettings;
  /** Whether requests to the server that was asked for set the Host header. */
  readonly hasHost: boolean;
}

/** A client, and how to use it for a URL. */
export interface Client {
  /** For fetch(). */
  readonly http: Deno.HttpClient;
  /** The URL to fetch. */
  readonly url: URL;
  /** The Host header, if it is not the one of that URL. */
  readonly host: string | undefined;
  /** What is connected to in place of the URL's host, as messages name it: a proxy or a socket. */
  readonly peer: string | undefined;
  /** Whether `peer` is a proxy. */
  readonly isProxied: boolean;
  /** The name or address that the runtime connects to; undefined for a socket. */
  readonly hostname: string | undefined;
}

/** The way to a server. */
interface Route {
  /** Whether it is the one that was asked for. */
  readonly isTrusted: boolean;
  /** What to connect to in place of the URL's host. */
  readonly via?: Deno.Proxy;
  /** Whether requests set the Host header; undefined: if the user does. */
  readonly setsHost?: boolean;
}

/** What distinguishes two clients. */
interface CreateOptions {
  /** Whether servers see the client certificate. */
  readonly hasIdentity: boolean;
  readonly via: Deno.Proxy | undefined;
  readonly setsHost: boolean;
}

/** Creates clients when they are needed, and keeps them. */
export class HttpClients {
  readonly #tls: Tls;
  readonly #options: ClientOptions;
  readonly #clients = new Map<string, Deno.HttpClient>();

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
   * @throws why no address of the host accepts, or the reason of `signal` when that is aborted
   */
  async for(url: URL, isTrusted: boolean, signal: AbortSignal): Promise<Client> {
    const { unixSocket, proxies } = this.#options;
    if (unixSocket !== undefined) {
      // The runtime would ask in plain text.
      if (url.protocol === "https:") throw new Error("TLS over a Unix socket is not supported");
      const via = { transport: "unix", path: unixSocket } as const;
      return this.#client(url, { isTrusted, via }, shellQuote(unixSocket));
    }
    const proxy = await proxyFor(url, proxies);
    if (proxy !== undefined) {
      if (isTrusted && url.protocol === "https:") this.#refuseSecureProxy(proxy);
      const peer = `proxy ${redactUrl(proxy)}`;
      return this.#client(url, { isTrusted, via: { url: proxy } }, peer);
    }
    // The runtime tries one family after the other by itself, but waits for a silent address. With
    // TLS there is no other way: the name of the host could not be checked.
    const { hostname, port } = endpointOf(url);
    const address = url.protocol === "http:"
      ? await findAddress(hostname, port, signal)
      : undefined;
    if (address === undefined) return this.#client(url, { isTrusted });
    const direct = new URL(url);
    direct.hostname = address.includes(":") ? `[${address}]` : address;
    return { ...this.#client(direct, { isTrusted, setsHost: true }), host: url.host };
  }

  /** The runtime would show the client certificate to an https proxy, too. */
  #refuseSecureProxy(proxy: string): void {
    if (this.#tls.identity.cert === undefined || !/^https:/i.test(proxy)) return;
    throw new CommandError(
      "HTTPS_PROXY: an https proxy would get the client certificate of --cert too; " +
        "use an http proxy, or NO_PROXY",
    );
  }

  #client(url: URL, { isTrusted, via, setsHost }: Route, peer?: string): Client {
    const options = {
      hasIdentity: isTrusted && url.protocol === "https:",
      via,
      setsHost: setsHost ?? (isTrusted && this.#options.hasHost),
    };
    const name = JSON.stringify(options);
    const http = this.#clients.get(name) ?? this.#create(options);
    this.#clients.set(name, http);
    const proxy = via !== undefined && "url" in via ? new URL(via.url) : undefined;
    const hostname = via === undefined || proxy !== undefined
      ? endpointOf(proxy ?? url).hostname
      : undefined;
    return { http, url, host: undefined, peer, isProxied: proxy !== undefined, hostname };
  }

  #create({ hasIdentity, via, setsHost }: CreateOptions): Deno.HttpClient {
    const { caCert } = this.#options;
    const { authorities, identity } = this.#tls;
    try {
      return Deno.createHttpClient({
        ...authorities,
        ...(hasIdentity ? identity : {}),
        ...(via === undefined ? {} : { proxy: via }),
        // HTTP/2 has the host in another place, and servers reject two that differ.
        ...(setsHost ? { allowHost: true, http2: false } : {}),
        poolMaxIdlePerHost: 0, // every probe asks whether a connection can be made
      });
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
