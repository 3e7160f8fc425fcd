/**
 * Which proxy a URL is fetched through, as the environment says and as Go reads it.
 * Source: the documentation of golang.org/x/net/http/httpproxy.
 */

import { CommandError } from "../errors.ts";

const VARIABLES = [
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "ALL_PROXY",
] as const;

/** What the environment says about proxies; empty strings where it says nothing. */
export interface ProxySettings {
  /** For http URLs. */
  readonly http: string;
  /** For https URLs. */
  readonly https: string;
  /** The hosts that are fetched without one, separated by commas. */
  readonly no: string;
}

/**
 * Reads the proxy variables, upper or lower case, and takes them out of the environment: the
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
 * The URL of the proxy to fetch `url` through; undefined for none.
 *
 * localhost and loopback addresses are never fetched through one.
 *
 * @throws {CommandError} the variable that applies holds no URL
 */
export async function proxyFor(
  url: URL,
  settings: ProxySettings,
): Promise<string | undefined> {
  const proxy = url.protocol === "https:" ? settings.https : settings.http;
  if (proxy === "" || await bypasses(url, settings.no)) return undefined;
  const through = proxy.includes("://") ? proxy : `http://${proxy}`;
  if (URL.parse(through) !== null) return through;
  // Not shown: it may contain a password.
  const variable = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  throw new CommandError(
    `the environment's ${variable} is not a URL: correct it, or unset it`,
  );
}

async function bypasses(url: URL, noProxy: string): Promise<boolean> {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  // URL brings every way of writing an IPv4 address to its four decimal numbers.
  if (host === "localhost" || /^127(\.\d+){3}$/.test(host) || host === "::1") {
    return true;
  }
  for (const entry of noProxy.toLowerCase().split(",").map((it) => it.trim())) {
    if (entry === "*") return true;
    if (entry !== "" && await matches(entry, host, port)) return true;
  }
  return false;
}

/** One entry of NO_PROXY: an address, a CIDR range, or a name for itself and all below it. */
async function matches(
  entry: string,
  host: string,
  port: string,
): Promise<boolean> {
  if (entry.includes("/")) return await isWithin(host, entry);
  const [, name, onlyPort] = /^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry) ?? [];
  if (name === undefined || (onlyPort !== undefined && onlyPort !== port)) {
    return false;
  }
  const address = name.replace(/^\[(.*)\]$/, "$1");
  if (address.includes(":")) return await isWithin(host, `${address}/128`);
  const suffix = name.replace(/^\*\./, ".");
  return suffix.startsWith(".")
    ? host.endsWith(suffix)
    : host === name || host.endsWith(`.${name}`);
}

/** Whether the host is an address in the range. Loaded when asked for: few have such a NO_PROXY. */
async function isWithin(host: string, range: string): Promise<boolean> {
  const { BlockList, isIP } = await import("node:net");
  const [network = "", prefix = ""] = range.split("/");
  const [family, own] = [isIP(network), isIP(host)];
  const bits = Number(prefix);
  if (
    family === 0 || family !== own || !/^\d+$/.test(prefix) ||
    bits > (family === 4 ? 32 : 128)
  ) {
    return false;
  }
  const list = new BlockList();
  const type = family === 4 ? "ipv4" : "ipv6";
  list.addSubnet(network, bits, type);
  return list.check(host, type);
}
