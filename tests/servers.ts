/** Servers for the tests, each on a free port of the loopback interface. */

/** A server that the test ends. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
}

/** An HTTP server that answers with `answer`. */
export function httpServer(
  answer: (request: Request, count: number) => Response | Promise<Response>,
  options: Partial<Deno.ServeTcpOptions & Deno.TlsCertifiedKeyPem> = {},
): Server {
  let count = 0;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, ...options },
    (request) => answer(request, ++count),
  );
  const { port } = server.addr;
  return {
    port,
    url: `${options.cert === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A TCP server that does with each connection what `serve` says, until `ended` is aborted. */
export function rawServer(
  serve: (connection: Deno.TcpConn, ended: AbortSignal) => Promise<void>,
): Server {
  const ended = new AbortController();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const accepting = (async () => {
    for await (const connection of listener) {
      open.add(connection);
      // The client may be gone at any time; that is no affair of the test.
      serve(connection, ended.signal).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    url: `http://127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      ended.abort();
      listener.close();
      await accepting;
      for (const connection of open) {
        try {
          connection.close();
        } catch {
          // Closed by `serve`.
        }
      }
    },
  };
}

/** Reads a request up to its end, as far as one read brings it. */
export async function readRequest(connection: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(65_536);
  const count = await connection.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
}

/** Writes a text to a connection, all of it. */
export async function writeAll(
  connection: Deno.TcpConn,
  text: string,
): Promise<void> {
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) rest = rest.subarray(await connection.write(rest));
}

/** A port on which nothing listens: it was free a moment ago. */
export function closedPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
