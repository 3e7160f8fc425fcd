/**
 * Looking up the addresses of a name. A lookup cannot be aborted, and blocks a thread of the
 * runtime's pool, which has 32 and needs them to print messages too. So there is one lookup of a name
 * at a time, whose answer all probes share, and few of different names.
 */
import { abortable } from "./connect.ts";

/** How many names are looked up at once: redirects could lead to ever new ones. */
const MAX_LOOKUPS = 8;

/** Lookups in progress, by name. */
const lookups = new Map<string, Promise<readonly string[]>>();

/** Returns whether the text is an address and not a name. */
export function isAddress(hostname: string): boolean {
  return /^[\d.]+$|:/.test(hostname);
}

/**
 * Returns all addresses of a name, in the order of getaddrinfo(3).
 *
 * @param hostname a name or an address
 * @throws {Error} the name cannot be resolved
 * @throws the reason of `signal` when that is aborted
 */
export async function lookUp(hostname: string, signal: AbortSignal): Promise<readonly string[]> {
  if (isAddress(hostname)) return [hostname];
  while (!lookups.has(hostname) && lookups.size >= MAX_LOOKUPS) {
    await abortable(Promise.allSettled([Promise.race(lookups.values())]), signal);
  }
  const lookup = lookups.get(hostname) ?? start(hostname);
  return await abortable(lookup, signal);
}

function start(hostname: string): Promise<readonly string[]> {
  const lookup = resolve(hostname).finally(() => lookups.delete(hostname));
  lookup.catch(() => {}); // every probe that waited may have been aborted
  lookups.set(hostname, lookup);
  return lookup;
}

async function resolve(hostname: string): Promise<readonly string[]> {
  // Imported when it is needed: addresses are more common than names.
  const { lookup } = await import("node:dns");
  return await new Promise((resolve, reject) => {
    lookup(hostname, { all: true }, (error, found) => {
      if (error === null) resolve(found.map(({ address }) => address));
      else reject(new Error("failed to lookup address information"));
    });
  });
}
