/**
 * Compares health waits: `health.ts [--wait-on PATH]` prints a table. Not a part of `make bench`,
 * because the other tools come from elsewhere: curl and wait-for-it from Debian, wait-on from npm.
 */
import { parseArgs } from "@std/cli/parse-args";
import { delay } from "@std/async/delay";
import {
  closedPort,
  fullServer,
  httpServer,
  rawServer,
  readRequest,
  writeAll,
} from "../servers.ts";
import { Job, run, SIPID, start, TempDir } from "../support.ts";

/** Seconds that every tool is told to wait in total. */
const TIMEOUT_S = 2;
/** Runs whose median is taken. */
const ROUNDS = 5;

/** A tool as it waits for an HTTP URL, and for a TCP port; undefined if it cannot. */
interface Tool {
  readonly http?: (url: string, seconds: number) => string[];
  readonly tcp?: (port: number, seconds: number) => string[];
}

const waitOn = parseArgs(Deno.args, { string: ["wait-on"] })["wait-on"];
const often = ["--polling-frequency", "100ms"];
const TOOLS: Record<string, Tool> = {
  "sipid": {
    http: (url, s) => [SIPID, "wait-until-healthy", "--url", url, "--timeout", `${s}s`, ...often],
    tcp: (port, s) => TOOLS.sipid!.http!(`tcp://127.0.0.1:${port}`, s),
  },
  "curl --retry": {
    http: (url, s) => {
      const retry = ["--retry", "1000", "--retry-all-errors", "--retry-delay", "1"];
      const limits = ["--retry-max-time", `${s}`, "--max-time", `${s}`];
      return ["curl", "-sfL", "-o", "/dev/null", ...retry, ...limits, url];
    },
  },
  "wait-for-it": {
    tcp: (port, s) => ["wait-for-it", `127.0.0.1:${port}`, "-q", "-t", `${s}`],
  },
};
if (waitOn !== undefined) {
  const flags = (s: number): string[] => ["-t", `${s * 1000}`, "-i", "100"];
  TOOLS["wait-on"] = {
    http: (url, s) => [waitOn, ...flags(s), url.replace(/^http:/, "http-get:")],
    tcp: (port, s) => [waitOn, ...flags(s), `tcp:127.0.0.1:${port}`],
  };
}

/** Runs a command line; how long it took, and its status. */
async function measured(words: string[]): Promise<string> {
  const { ms, code } = await run(words[0]!, words.slice(1));
  return `${(ms / 1000).toFixed(2)} s, exit ${code}`;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}

/** From the first healthy moment, one second after the start, to the tool's return. */
async function untilReturn(words: (port: number) => string[], isTcp: boolean): Promise<string> {
  const delays: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const port = closedPort();
    let isReady = false;
    const serve = (): AsyncDisposable =>
      httpServer(() => new Response(null, { status: isReady ? 200 : 503 }), { port });
    let server = isTcp ? undefined : serve();
    const [program, ...args] = words(port);
    const waiting = start(program!, args);
    // Anywhere between two polls, once in each round.
    await delay(1_000 + round * 170);
    server ??= serve();
    isReady = true;
    const ready = performance.now();
    await waiting.result;
    delays.push(performance.now() - ready);
    await server[Symbol.asyncDispose]();
  }
  return `${median(delays).toFixed(0)} ms`;
}

const HOSTILE: Record<string, () => Promise<AsyncDisposable & { url: string; port: number }>> = {
  "accepts and says nothing": () => Promise.resolve(rawServer(async () => {})),
  "sends a byte a second": () =>
    Promise.resolve(rawServer(async (connection, signal) => {
      await readRequest(connection);
      for (const byte of "HTTP/1.1 200 OK\r\nX-Slow: 1\r\n\r\n") {
        await writeAll(connection, byte);
        await delay(1_000, { signal });
      }
    })),
  "streams headers without end": () =>
    Promise.resolve(rawServer(async (connection) => {
      await writeAll(connection, "HTTP/1.1 200 OK\r\n");
      for (let i = 0;; i++) await writeAll(connection, `X-${i}: ${"y".repeat(1_000)}\r\n`);
    })),
  "streams a body without end": () =>
    Promise.resolve(rawServer(async (connection) => {
      await readRequest(connection);
      await writeAll(connection, "HTTP/1.1 200 OK\r\n\r\n");
      for (;;) await writeAll(connection, "y".repeat(1_000));
    })),
  "redirects to itself": () =>
    Promise.resolve(
      httpServer(() => new Response(null, { status: 302, headers: { location: "/" } })),
    ),
};

const names = Object.keys(TOOLS);
const rows: string[][] = [];
async function row(what: string, cell: (tool: Tool) => Promise<string> | undefined): Promise<void> {
  const cells: string[] = [];
  for (const name of names) cells.push(await cell(TOOLS[name]!) ?? "-");
  rows.push([what, ...cells]);
}

await row(
  "HTTP: healthy to return",
  ({ http }) => http && untilReturn((port) => http(`http://127.0.0.1:${port}/`, 30), false),
);
await row("TCP: healthy to return", ({ tcp }) => tcp && untilReturn((port) => tcp(port, 30), true));
for (const [what, serve] of Object.entries(HOSTILE)) {
  await row(`a server that ${what}`, ({ http }) => {
    if (http === undefined) return undefined;
    return (async () => {
      await using server = await serve();
      return await measured(http(server.url, TIMEOUT_S));
    })();
  });
}
await row("a TCP backlog that is full", ({ tcp }) => {
  if (tcp === undefined) return undefined;
  return (async () => {
    await using server = await fullServer();
    return await measured(tcp(server.port, TIMEOUT_S));
  })();
});
await row("a service that dies in its first second (timeout 10 s)", ({ http }) => {
  if (http === undefined) return undefined;
  return (async () => {
    using dir = new TempDir();
    await using job = new Job("exec sleep 1");
    const words = http(`http://127.0.0.1:${closedPort()}/`, 10);
    const pidFile = ["--pid-file", dir.write("web.pid", String(job.pid))];
    return await measured([...words, ...words[0] === SIPID ? pidFile : []]);
  })();
});

const table = [["", ...names], ["---", ...names.map(() => "---")], ...rows];
for (const cells of table) {
  Deno.stdout.writeSync(new TextEncoder().encode(`| ${cells.join(" | ")} |\n`));
}
