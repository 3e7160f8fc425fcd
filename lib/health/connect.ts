/**
 * Connections that can be aborted: to a Unix socket, or to whichever address of a host accepts
 * first, so that one that is dead does not hide another. Source: RFC 8305.
 */
import { isAddress, lookUp } from "./lookup.ts";

/** Milliseconds that an address has to accept before the next one is tried as well. */
const NEXT_ADDRESS_MS = 250;

/**
 * Connects to the first address of a host that accepts.
 *
 * @param hostname a name or an address
 * @throws the errors of all addresses, as an `AggregateError`, or that of the name lookup
 * @throws the reason of `signal` when that is aborted
 */
export async function connectToAny(
  hostname: string,
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  return await connectToFirst(await lookUp(hostname, signal), port, signal);
}

/**
 * Returns the address of a name that accepts first. Nothing is sent to the only address of a name;
 * undefined for what is an address itself.
 *
 * @throws as `connectToAny()` does
 */
export async function findAddress(
  hostname: string,
  port: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (isAddress(hostname)) return undefined;
  const addresses = await lookUp(hostname, signal);
  if (addresses.length === 1) return addresses[0];
  using connection = await connectToFirst(addresses, port, signal);
  return connection.remoteAddr.hostname;
}

/** Returns what an http or https URL connects to. */
export function endpointOf(url: URL): { readonly hostname: string; readonly port: number } {
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  return { hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"), port };
}

async function connectToFirst(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  // The losers are aborted when one has won, all of them when the caller gives up.
  const race = new AbortController();
  const abort = (): void => race.abort(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await firstToAccept(alternateFamilies(addresses), port, race.signal);
  } finally {
    signal.removeEventListener("abort", abort);
    race.abort();
  }
}

function firstToAccept(
  addresses: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  const errors: unknown[] = [];
  let [next, isDecided] = [0, false];
  let timer: ReturnType<typeof setTimeout> | undefined;
  return new Promise<Deno.TcpConn>((resolve, reject) => {
    const tryNext = (): void => {
      clearTimeout(timer);
      const hostname = addresses[next++];
      if (hostname === undefined || isDecided) return;
      Deno.connect({ hostname, port, signal }).then((connection) => {
        if (isDecided) return connection.close();
        isDecided = true;
        resolve(connection);
      }, (error) => {
        errors.push(error);
        if (signal.aborted) reject(signal.reason);
        else if (errors.length === addresses.length) reject(new AggregateError(errors));
        else tryNext();
      });
      timer = setTimeout(tryNext, NEXT_ADDRESS_MS);
    };
    tryNext();
  }).finally(() => clearTimeout(timer));
}

/** Returns the addresses so that those of the two families take turns. */
function alternateFamilies(addresses: readonly string[]): readonly string[] {
  const isFirstFamily = (address: string): boolean =>
    address.includes(":") === addresses[0]?.includes(":");
  const first = addresses.filter(isFirstFamily);
  const second = addresses.filter((address) => !isFirstFamily(address));
  return first.flatMap((address, i) => [address, ...second.slice(i, i + 1)])
    .concat(second.slice(first.length));
}

/**
 * Connects to a Unix socket.
 *
 * @throws the reason of `signal` when that is aborted
 */
export function connectToSocket(path: string, signal: AbortSignal): Promise<Deno.UnixConn> {
  const connecting = Deno.connect({ transport: "unix", path });
  const closeLate = (): void => void connecting.then((it) => it.close(), () => {});
  signal.addEventListener("abort", closeLate);
  return abortable(connecting, signal).finally(() =>
    signal.removeEventListener("abort", closeLate)
  );
}

/** Settles as `promise` does, or rejects with the reason of `signal` when that is aborted first. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort = (): void => {};
  const aborted = new Promise<never>((_, reject) => abort = () => reject(signal.reason));
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
