/** Anything that may answer a probe. */
import { rawServer, readRequest } from "../servers.ts";
import { inParallel, run, SIPID } from "../support.ts";
import { probes } from "./probes.ts";
import { assertTame, broken, type Part, peakOf, type Random } from "./stress.ts";

/** What a server sends; an endless answer lasts as long as the connection. */
type Answer = () => Iterable<string | Uint8Array>;

const once = (text: string | Uint8Array): Answer => () => [text];
const zeros = new Uint8Array(65_536);
function endless(start: string, piece: string | Uint8Array): Answer {
  return function* () {
    yield start;
    for (;;) yield piece;
  };
}

const HEALTHY = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ANSWERS: Readonly<Record<string, Answer>> = {
  "nothing, and closed": once(""),
  "a garbage status line": once("garbage\r\n\r\n"),
  "a status line without a status": once("HTTP/1.1\r\n\r\n"),
  "status 99999": once("HTTP/1.1 99999 Much\r\n\r\n"),
  "status 2OO in letters": once("HTTP/1.1 2OO OK\r\n\r\n"),
  "status -200": once("HTTP/1.1 -200 OK\r\n\r\n"),
  "HTTP/0.9": once("<html>200 OK</html>"),
  "HTTP/7.7": once("HTTP/7.7 200 OK\r\n\r\n"),
  "the HTTP/2 preface": once("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  "HTTP/2 settings": once(Uint8Array.from([0, 0, 0, 4, 0, 0, 0, 0, 0])),
  "a TLS alert": once(Uint8Array.from([0x15, 3, 1, 0, 2, 2, 0x28])),
  "an SSH banner": once("SSH-2.0-OpenSSH_9.2\r\n"),
  "a status line, and closed": once("HTTP/1.1 200 OK\r\n"),
  "half a header, and closed": once("HTTP/1.1 200 OK\r\nContent-Le"),
  "a header of 10 MB": once(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(10_000_000)}\r\n\r\n`),
  "10,000 headers": once(`HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(10_000)}\r\n`),
  "endless headers": endless("HTTP/1.1 200 OK\r\n", "X: y\r\n".repeat(1_000)),
  "an endless header": endless("HTTP/1.1 200 OK\r\nX: ", "y".repeat(10_000)),
  "an endless status line": endless("HTTP/1.1 200 ", "O".repeat(10_000)),
  "endless interim answers": endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
  "NULs": endless("", zeros),
  "a bad header name": once("HTTP/1.1 503 No\r\nb\0d: x\r\n\r\n"),
  "a body of 503 without end": endless("HTTP/1.1 503 No\r\n\r\n", zeros),
  "chunks of nonsense": once("HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"),
  "two lengths": once("HTTP/1.1 503 No\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
  "a negative length": once("HTTP/1.1 503 No\r\nContent-Length: -5\r\n\r\n"),
  "a redirect to itself": once("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
  "a redirect to nowhere": once(
    "HTTP/1.1 302 Found\r\nLocation: ht!tp://[\r\nContent-Length: 0\r\n\r\n",
  ),
  "a switch of protocols": once("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
};

async function serve(connection: Deno.TcpConn, answer: Answer): Promise<void> {
  await readRequest(connection);
  for (const piece of answer()) {
    const bytes = typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
  }
  connection.close();
}

const LIMIT = 300;
const BRIEFLY = ["--timeout", `${LIMIT}ms`, "--polling-frequency", "100ms"];

export const http: Part = async ({ long, random }) => {
  const kinds = Object.entries(ANSWERS);
  let most = 0;
  await inParallel(kinds, 2, async ([name, answer]) => {
    await using server = rawServer((connection) => serve(connection, answer));
    const args = ["wait-until-healthy", "--url", server.url, ...BRIEFLY];
    const { peak, ...result } = await peakOf(args);
    const facts = { name, peak, result };
    assertTame(result, facts);
    if (result.code !== 1) broken("only 200 is healthy", facts);
    if (result.ms > LIMIT + 3_000) broken("the deadline is kept", facts);
    if (peak > 160_000) broken("memory is bounded", facts);
    most = Math.max(most, peak);
  });

  const rounds = long ? 400 : 100;
  const codes: Record<number, number> = {};
  await inParallel(Array.from({ length: rounds }), 4, async () => {
    const text = mutated(random);
    await using server = rawServer((connection) => serve(connection, once(text)));
    const result = await run(SIPID, ["wait-until-healthy", "--url", server.url, ...BRIEFLY]);
    assertTame(result, { text, result });
    // Empty lines before the status line are ignored.
    const isHealthy = /^[\r\n]*HTTP\/1\.[01] 200[ \r\n]/.test(text);
    if (result.code === 0 && !isHealthy) broken("only 200 is healthy", { text, result });
    codes[result.code] = (codes[result.code] ?? 0) + 1;
  });
  return [
    {
      what: "answers that are not HTTP, or have no end",
      times: kinds.length,
      seen: `${most} KiB at most`,
      note: `answers: ${Object.keys(ANSWERS).join("; ")}`,
    },
    {
      what: "healthy answers with characters changed, removed or inserted",
      times: rounds,
      seen: Object.entries(codes).map(([code, count]) => `exit ${code}: ${count}`).join(", "),
    },
    ...await probes(random, long),
  ];
};

function mutated(random: Random): string {
  const characters = [...HEALTHY];
  for (let count = 1 + random.below(3); count > 0; count--) {
    const at = random.below(characters.length);
    const other = random.pick([..."0123456789 :/\r\n\0ÿHTPO"]);
    characters.splice(at, random.below(2), ...(random.below(3) > 0 ? [other] : []));
  }
  return characters.join("");
}
