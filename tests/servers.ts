/** Servers for the tests, each on a free port of the loopback interface. */

import { Running } from "./support.ts";

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

/** Declares and fills a backlog, so that a further connection is not accepted, and waits. */
const FULL_BACKLOG = `use Socket; use Fcntl; $| = 1;
  my ($family, $address) = $ARGV[0] =~ m{^/}
    ? (PF_UNIX, pack_sockaddr_un($ARGV[0])) : (PF_INET, pack_sockaddr_in($ARGV[1], inet_aton($ARGV[0])));
  socket(my $server, $family, SOCK_STREAM, 0) or die $!;
  setsockopt($server, SOL_SOCKET, SO_REUSEADDR, 1);
  bind($server, $address) and listen($server, 0) or die $!;
  my $name = getsockname $server;
  my @clients;
  for (1 .. 4) {
    socket(my $client, $family, SOCK_STREAM, 0) or die $!;
    fcntl($client, F_SETFL, O_NONBLOCK);
    connect($client, $name);
    push @clients, $client;
  }
  print "ready ", ($family == PF_INET ? (unpack_sockaddr_in $name)[0] : 0), "\\n";
  sleep 600;`;

/** Starts a server that listens and never accepts, and whose backlog is full. */
export async function fullServer(address = "127.0.0.1", port = 0): Promise<Server> {
  const args = ["-e", FULL_BACKLOG, address, String(port)];
  const running = await Running.start("perl", args, { awaited: "ready \\d+" });
  const [, listening] = await running.line(/^ready (\d+)$/m);
  return {
    port: Number(listening),
    url: `http://${address}:${listening}`,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}
