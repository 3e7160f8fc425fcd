/**
 * The proxy rules of the environment, as Go reads them.
 * Source: the documentation of golang.org/x/net/http/httpproxy.
 */
import { CommandError } from "../errors.ts";

const VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"] as const;

/** The proxies of the environment; empty strings where it names none. */
export interface ProxySettings {
  /** For http URLs. */
  readonly http: string;
  /** For https URLs. */
  readonly https: string;
  /** The hosts that are fetched without a proxy, separated by commas. */
  readonly no: string;
}

/**
 * Reads the proxy variables, in upper or lower case, and removes them from the environment: the
 * runtime would obey them by rules of its own, even for loopback addresses.
 */
export function takeProxySettings(): ProxySettings {
  const values = VARIABLES.map((name) => {
    const found = [name, name.toLowerCase()].map((it) => {
      const value = Deno.env.get(it);
      Deno.env.delete(it);
      return value;
    });
    return found.find((value) => value) ?? "";
  });
  return { http: values[0]!, https: values[1]!, no: values[2]! };
}

/**
 * Returns the URL of the proxy to fetch `url` through, or undefined for none. localhost and
 * loopback addresses are never fetched through one.
 *
 * @throws {CommandError} the variable that applies is not the URL of a proxy
 */
export async function proxyFor(url: URL, settings: ProxySettings): Promise<string | undefined> {
  const proxy = url.protocol === "https:" ? settings.https : settings.http;
  if (proxy === "" || await bypasses(url, settings.no)) return undefined;
  const through = proxy.includes("://") ? proxy : `http://${proxy}`;
  if (/^(https?|socks5h?):/i.test(through) && URL.parse(through) !== null) return through;
  // Not shown: it may contain a password.
  const variable = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  throw new CommandError(
    `${variable}: is not the URL of an http, https or socks5 proxy; correct or unset it`,
  );
}

async function bypasses(url: URL, noProxy: string): Promise<boolean> {
  // URL has already normalised every notation of an IPv4 address to four decimal numbers.
  const host = unmapped(url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, ""));
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  if (host === "localhost" || /^127(\.\d+){3}$/.test(host) || host === "::1") return true;
  for (const entry of noProxy.toLowerCase().split(",").map((it) => it.trim())) {
    if (entry === "*") return true;
    if (entry !== "" && await matches(entry, host, port)) return true;
  }
  return false;
}

/** Matches one entry: an address, a CIDR range, or a name for itself and all below it. */
async function matches(entry: string, host: string, port: string): Promise<boolean> {
  if (entry.includes("/")) return await isWithin(host, entry);
  const [, name, onlyPort] = /^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (name === undefined || (onlyPort !== undefined && onlyPort !== port)) return false;
  const address = name.replace(/^\[(.*)\]$/, "$1");
  if (address.includes(":")) return await isWithin(host, `${address}/128`);
  const suffix = name.replace(/^\*\./, ".");
  return suffix.startsWith(".")
    ? host.endsWith(suffix)
    : host === name || host.endsWith(`.${name}`);
}

/** Returns whether the host is an address in the CIDR range. */
async function isWithin(host: string, range: string): Promise<boolean> {
  // Imported when it is needed: few have such a NO_PROXY.
  const { BlockList, isIP } = await import("node:net");
  const [written = "", prefix = ""] = range.split("/");
  const network = unmapped(written);
  const bits = isIP(network) === isIP(written) ? Number(prefix) : Number(prefix) - MAPPED_BITS;
  const family = isIP(network);
  if (family === 0 || family !== isIP(host) || !/^\d+$/.test(prefix)) return false;
  if (bits < 0 || bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const type = family === 4 ? "ipv4" : "ipv6";
  list.addSubnet(network, bits, type);
  return list.check(host, type);
}

/** The bits that precede the IPv4 address in an IPv4-mapped IPv6 address. */
const MAPPED_BITS = 96;

/** Returns the IPv4 address in an IPv4-mapped IPv6 address such as ::ffff:10.0.0.1; else the text. */
function unmapped(address: string): string {
  if (!address.includes(":")) return address;
  const normal = URL.parse(`http://[${address}]/`)?.hostname ?? "";
  const [, high, low] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(normal) ?? [];
  if (high === undefined || low === undefined) return address;
  const bytes = [high, low].flatMap((hex) => [parseInt(hex, 16) >> 8, parseInt(hex, 16) & 0xff]);
  return bytes.join(".");
}
