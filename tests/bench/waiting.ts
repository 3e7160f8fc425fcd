/** The delay between the first healthy answer of a service and the return of the waiting command. */
import { closedPort, httpServer } from "../servers.ts";
import { expectResult, run, SIPID } from "../support.ts";
import { type Measurement, median, repeat } from "./bench.ts";

/** Milliseconds between two probes of sipid; its peers poll once a second at most. */
const PERIOD_MS = 200;

export async function waiting(): Promise<Measurement[]> {
  return [await firstHealthy(), await firstConnection()];
}

/** Measures the milliseconds from the first healthy answer to the return of the waiting command. */
async function firstHealthy(): Promise<Measurement> {
  const late = async (program: string, args: (url: string) => string[]): Promise<number> => {
    let healthyFrom = Infinity;
    let isAsked = (): void => {};
    const asked = new Promise<void>((resolve) => isAsked = resolve);
    await using server = httpServer(() => {
      isAsked();
      return new Response(null, { status: performance.now() < healthyFrom ? 503 : 200 });
    });
    const ended = run(program, args(server.url));
    await asked;
    healthyFrom = performance.now() + 300 + Math.random() * PERIOD_MS;
    expectResult(await ended, { code: 0 });
    return performance.now() - healthyFrom;
  };
  const sipid = await repeat(
    30,
    3,
    () =>
      late(
        SIPID,
        (url) => ["wait-until-healthy", "--url", url, "--polling-frequency", `${PERIOD_MS}ms`],
      ),
  );
  const curl = await repeat(30, 3, () =>
    late("curl", (url) => [
      ...["-fsS", "-o", "/dev/null", "--retry", "60", "--retry-delay", "1", "--retry-all-errors"],
      url,
    ]));
  return {
    what: `wait-until-healthy returns after the first 200, polling every ${PERIOD_MS} ms`,
    chart: "Health: returns after the first 200",
    unit: "ms",
    series: { sipid, "curl --retry-delay 1": curl },
    target: { text: "median at most one period", value: median(sipid), limit: PERIOD_MS },
  };
}

/** Measures the same for a TCP port that is opened. */
async function firstConnection(): Promise<Measurement> {
  const late = async (program: string, args: (port: number) => string[]): Promise<number> => {
    const port = closedPort();
    const ended = run(program, args(port));
    await new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 1_000));
    using _listener = Deno.listen({ hostname: "127.0.0.1", port });
    const open = performance.now();
    expectResult(await ended, { code: 0 });
    return performance.now() - open;
  };
  const sipid = await repeat(
    30,
    3,
    () =>
      late(SIPID, (port) => [
        ...["wait-until-healthy", "--url", `tcp://127.0.0.1:${port}`],
        ...["--polling-frequency", `${PERIOD_MS}ms`],
      ]),
  );
  const script = await repeat(
    30,
    3,
    () => late("wait-for-it", (port) => ["--quiet", `127.0.0.1:${port}`]),
  );
  return {
    what: `wait-until-healthy returns after a port is opened, polling every ${PERIOD_MS} ms`,
    unit: "ms",
    series: { sipid, "wait-for-it": script },
    target: { text: "median at most one period", value: median(sipid), limit: PERIOD_MS },
  };
}
