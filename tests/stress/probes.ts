/** TCP, socket and command probes of services that do their worst. */
import { delay } from "@std/async/delay";
import { fullServer, rawServer } from "../servers.ts";
import { inParallel, run, SIPID, start, TempDir, until } from "../support.ts";
import { assertTame, broken, INTERNALS, peakOf, type Random, type Row } from "./stress.ts";

const LIMIT = 300;
const BRIEFLY = ["--timeout", `${LIMIT}ms`, "--polling-frequency", "50ms"];
/** KiB that no probe may need, whatever it is sent. */
const MAX_PEAK_KIB = 160_000;

async function probe(facts: string, ...args: string[]): Promise<number> {
  const { peak, ...result } = await peakOf(["wait-until-healthy", ...BRIEFLY, ...args]);
  assertTame(result, { facts, result });
  if (result.ms > LIMIT + 3_000) broken("the deadline is kept", { facts, result });
  if (peak > MAX_PEAK_KIB) broken("memory is bounded", { facts, peak });
  return result.code;
}

/** Ports and paths on which nothing may count as healthy. */
async function sockets(): Promise<Row> {
  using dir = new TempDir();
  const path = (name: string): string => dir.file(name);
  Deno.mkdirSync(path("directory"));
  Deno.symlinkSync("loop", path("loop"));
  dir.write("file", "");
  await run("mkfifo", [path("fifo")]);
  Deno.listen({ transport: "unix", path: path("left behind") }).close();
  await using _fullSocket = await fullServer(path("full"));
  await using fullPort = await fullServer();
  const names = ["none", "directory", "loop", "file", "file/x", "fifo", "left behind", "full"];
  const urls = [
    ...[...names, "x".repeat(200)].map((name) => `unix://${path(name)}`),
    `tcp://127.0.0.1:${fullPort.port}`,
    "tcp://127.0.0.1:2",
    "tcp://[::1]:2",
    "tcp://no-such-host.invalid:80",
  ];
  await inParallel(urls, 2, async (url) => {
    if (await probe(url, "--url", url) !== 1) broken("only an accepted connection is healthy", url);
  });
  return { what: "ports and sockets that nothing accepts on", times: urls.length, seen: "exit 1" };
}

/** A port that closes at some time: healthy or not, but never a crash or a missed deadline. */
async function flapping(random: Random, rounds: number): Promise<Row> {
  const codes: Record<number, number> = {};
  for (let round = 0; round < rounds; round++) {
    let waiting: Promise<number>;
    {
      await using server = rawServer((connection) => {
        connection.close();
        return Promise.resolve();
      });
      const url = `tcp://127.0.0.1:${server.port}`;
      waiting = probe("flapping", "--url", url, "--successes", "3");
      await delay(random.below(LIMIT));
    }
    const code = await waiting;
    codes[code] = (codes[code] ?? 0) + 1;
  }
  const seen = Object.entries(codes).map(([code, count]) => `exit ${code}: ${count}`).join(", ");
  return { what: "a port that closes in the middle of a wait", times: rounds, seen };
}

const SCRIPTS: Readonly<Record<string, string>> = {
  "fails": "exit 1",
  "hangs": "sleep 600",
  "ignores SIGTERM": "trap '' TERM; sleep 600; sleep 600",
  "stops itself": "kill -STOP $$; sleep 600",
  "kills itself": "kill -KILL $$",
  "floods stdout": "yes",
  "floods stderr": "yes >&2",
  "writes NULs": "cat /dev/zero",
  "writes a line without end": "tr '\\0' x </dev/zero",
  "closes its output": "exec >&- 2>&-; sleep 600",
  "reads stdin": "cat; sleep 600",
  "leaves children": "sleep 600 & sleep 600 & exit 1",
  "has a tree of children": "sh -c 'sh -c \"sleep 600 & sleep 600\" & sleep 600' & wait",
  "starts children for ever": "while :; do sleep 600 & sleep 0.02; done",
};

/** Runs commands to their deadline, and under signals that end sipid. */
async function commands(random: Random, rounds: number): Promise<Row> {
  const kinds = Object.entries(SCRIPTS);
  await inParallel(kinds, 2, async ([name, script]) => {
    const marker = `stress-${crypto.randomUUID()}`;
    const code = await probe(name, "--", "env", `MARKER=${marker}`, "sh", "-c", script);
    if (code !== 1) broken("only exit status 0 is healthy", { name, code });
    await assertNoneLeft(marker, name);
  });
  const signals = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const;
  await inParallel(Array.from({ length: rounds }), 2, async () => {
    const [name, script] = random.pick(kinds);
    const signal = random.pick(signals);
    const marker = `stress-${crypto.randomUUID()}`;
    const command = ["env", `MARKER=${marker}`, "sh", "-c", script];
    const waiting = start(SIPID, ["wait-until-healthy", ...BRIEFLY, "--", ...command]);
    await delay(random.below(LIMIT));
    waiting.kill(signal);
    const result = await waiting.result;
    const facts = { name, signal, result };
    if (result.signal !== signal && result.code !== 1) broken("it dies of the signal", facts);
    if (INTERNALS.test(result.stderr)) broken("a user sees no internals", facts);
    await assertNoneLeft(marker, facts);
  });
  return {
    what: "commands that hang, flood or fork, at the deadline and under signals",
    times: kinds.length + rounds,
    seen: "none outlived sipid",
    note: `commands: ${Object.keys(SCRIPTS).join("; ")}`,
  };
}

/** No process with the marker in its environment is left; init may be slow to reap. */
async function assertNoneLeft(marker: string, facts: unknown): Promise<void> {
  await until(
    () => withMarker(marker).length === 0,
    () => Deno.inspect({ broken: "no command outlives sipid", facts, left: withMarker(marker) }),
  );
}

function withMarker(marker: string): string[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => name).filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      // A zombie's environment is empty.
      return Deno.readTextFileSync(`/proc/${name}/environ`).includes(marker);
    } catch {
      return false; // it has exited, or is another user's
    }
  });
}

/** The rows of all of them. */
export async function probes(random: Random, long: boolean): Promise<Row[]> {
  return [
    await sockets(),
    await flapping(random, long ? 100 : 20),
    await commands(random, long ? 300 : 60),
  ];
}
