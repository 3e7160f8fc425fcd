/** HTTP/2 without TLS: recognised, so that it can be named; the runtime does not speak it. */
import { abortable, connectToAny, connectToSocket, endpointOf } from "./connect.ts";

/** The connection preface of RFC 9113, section 3.4, and an empty SETTINGS frame. */
const PREFACE = new TextEncoder().encode(
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
);
/** Bytes of a frame up to its type, which follows three bytes of length. */
const TYPE_AT = 3;
const SETTINGS = 4;

/**
 * Returns whether a server answers the preface of HTTP/2 with the SETTINGS frame that must follow.
 *
 * @param socket the path of a Unix socket to connect to in place of the URL's host
 */
export async function speaksHttp2(
  url: URL,
  socket: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { hostname, port } = endpointOf(url);
  try {
    using connection = socket === undefined
      ? await connectToAny(hostname, port, signal)
      : await connectToSocket(socket, signal);
    await abortable(connection.write(PREFACE), signal);
    const start = new Uint8Array(TYPE_AT + 1);
    const count = await abortable(connection.read(start), signal);
    return count === start.length && start[0] === 0 && start[TYPE_AT] === SETTINGS;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
